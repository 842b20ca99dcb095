/* The C interface, used from C: values, errors, and memory that must not change. Also compiled as C++. */
#include "expect.h"

#define REAL float
#define TOLERANCE 2e-6
#define F(name) name##_f32
#include "format.h"
#undef REAL
#undef TOLERANCE
#undef F

#define REAL double
#define TOLERANCE 1e-14
#define F(name) name##_f64
#include "format.h"
#undef REAL
#undef TOLERANCE
#undef F

#include "sixteen.h"

#include "integers.h"

static void check_messages(void)
{
    int32_t status, other;
    const char *unknown = xent_error_message(-1);
    EXPECT(strcmp(unknown, xent_error_message(XENT_STATUS_QUANTISATION + 1)) == 0);
    for (status = XENT_STATUS_OK; status <= XENT_STATUS_QUANTISATION; status++) {
        EXPECT(strlen(xent_error_message(status)) > 8);
        EXPECT(strcmp(xent_error_message(status), unknown) != 0);
        for (other = XENT_STATUS_OK; other < status; other++) {
            EXPECT(strcmp(xent_error_message(status), xent_error_message(other)) != 0);
        }
    }
}

static void check_levels(void)
{
    char name[32], best[32], cut[4] = "???";
    size_t level;
    EXPECT(xent_level_name(best, sizeof best) == strlen(best));
    EXPECT(xent_level_name(NULL, 0) == strlen(best));
    EXPECT(xent_level_name(cut, 3) == strlen(best));
    EXPECT(strlen(cut) == 2 && strncmp(cut, best, 2) == 0);
    EXPECT(xent_choose_level("of another machine") == XENT_STATUS_LEVEL);
    EXPECT(xent_level_name(name, sizeof name) == strlen(best) && strcmp(name, best) == 0);
    for (level = 0; xent_available_level(level, name, sizeof name) != 0; level++) {
        char used[32];
        EXPECT(xent_choose_level(name) == XENT_STATUS_OK);
        xent_level_name(used, sizeof used);
        EXPECT(strcmp(used, name) == 0);
        printf("%s%s ", name, xent_level_has_fma() ? " (with FMA)" : "");
        check_format_f32();
        check_format_f64();
        check_sixteen();
        check_integers();
    }
    EXPECT(level > 0 && xent_available_level(level, NULL, 0) == 0);
    EXPECT(xent_choose_level(NULL) == XENT_STATUS_OK);
    xent_level_name(name, sizeof name);
    EXPECT(strcmp(name, best) == 0);
}

int main(void)
{
    check_messages();
    check_levels();
    printf("%s: %lu checks, %lu failures\n", xent_version(), checks, failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
