/* What the checks have in common. */
#ifndef EXPECT_H
#define EXPECT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xent.h>

static unsigned long checks, failures;

#define EXPECT(condition)                                                         \
    do {                                                                          \
        checks += 1;                                                              \
        if (!(condition)) {                                                       \
            failures += 1;                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                         \
    } while (0)

/* Whether a result is that of the formula: NaN where that is NaN. */
static int is_near(double found, double expected, double tolerance)
{
    if (isnan(expected)) {
        return isnan(found);
    }
    return fabs(found - expected) <= tolerance * (1.0 + fabs(expected));
}

/* The next of some numbers from 0 to below 1, the same on every machine. */
static double next_number(void)
{
    static uint32_t state = 1;
    state = state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (double)(state >> 8) / 16777216.0;
}

static size_t next_below(size_t end)
{
    return (size_t)(next_number() * (double)end);
}

#endif
