/* What the program needs of the machine it runs on. */
#ifndef PLATFORM_H
#define PLATFORM_H

/* Shows some text. */
void platform_write(const char *text);

#endif
