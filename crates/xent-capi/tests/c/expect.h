/* What all checks share. */
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

/* Sets *label to the label at a place, whatever the type of a loss's labels, and returns 1 if the loss has labels. */
#define FIND_LABEL(loss, at, label)      \
    do {                                 \
        LABEL_OF(i8, loss, at, label)    \
        LABEL_OF(u8, loss, at, label)    \
        LABEL_OF(i16, loss, at, label)   \
        LABEL_OF(u16, loss, at, label)   \
        LABEL_OF(i32, loss, at, label)   \
        LABEL_OF(u32, loss, at, label)   \
        LABEL_OF(i64, loss, at, label)   \
        LABEL_OF(u64, loss, at, label)   \
    } while (0)
#define LABEL_OF(type, loss, at, label)                      \
    if ((loss)->labels_##type) {                             \
        *(label) = (int64_t)(loss)->labels_##type[at];       \
        return 1;                                            \
    }

/* Gives a loss the labels of memory `m`, in each of the eight types in turn. */
#define GIVE_LABELS(loss, m)                                              \
    do {                                                                  \
        static unsigned turn;                                             \
        turn += 1;                                                        \
        (loss).labels_i8 = turn % 8 == 0 ? (m).i8 : NULL;                 \
        (loss).labels_u8 = turn % 8 == 1 ? (m).u8 : NULL;                 \
        (loss).labels_i16 = turn % 8 == 2 ? (m).i16 : NULL;               \
        (loss).labels_u16 = turn % 8 == 3 ? (m).u16 : NULL;               \
        (loss).labels_i32 = turn % 8 == 4 ? (m).labels : NULL;            \
        (loss).labels_u32 = turn % 8 == 5 ? (m).unsigned_labels : NULL;   \
        (loss).labels_i64 = turn % 8 == 6 ? (m).i64 : NULL;               \
        (loss).labels_u64 = turn % 8 == 7 ? (m).u64 : NULL;               \
    } while (0)

/* Whether a result matches the formula, including NaN. */
static int is_near(double found, double expected, double tolerance)
{
    if (isnan(expected)) {
        return isnan(found);
    }
    return fabs(found - expected) <= tolerance * (1.0 + fabs(expected));
}

/* The next of a sequence of numbers in [0, 1), the same on every machine. */
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
