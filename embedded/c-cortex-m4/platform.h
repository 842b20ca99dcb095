/* What the program needs from its machine. */
#ifndef PLATFORM_H
#define PLATFORM_H

/* Prints text. */
void platform_write(const char *text);

#endif
