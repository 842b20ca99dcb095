/* The host, with the C library. */
#include <stdio.h>

#include "platform.h"

void platform_write(const char *text)
{
    fputs(text, stdout);
}
