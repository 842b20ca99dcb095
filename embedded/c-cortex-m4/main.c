/* Prints the bits of losses and gradients, which are the same on all machines. */
#include <xent.h>

#include "platform.h"

enum { ROWS = 3, CLASSES = 10, WIDE_CLASSES = 70, MOST = ROWS * WIDE_CLASSES };

static int failures;

/* A 32-bit number in hexadecimal. */
static void put_bits(uint32_t bits)
{
    char text[9];
    int digit;
    for (digit = 0; digit < 8; digit++) {
        text[digit] = "0123456789abcdef"[bits >> (28 - 4 * digit) & 15];
    }
    text[8] = '\0';
    platform_write(text);
}

static void put_number(size_t number)
{
    char text[2] = "0";
    if (number >= 10) {
        put_number(number / 10);
    }
    text[0] = (char)('0' + number % 10);
    platform_write(text);
}

/* The name at the start of a line: "softmax gradient[3] ". */
static void put_name(const char *loss, const char *what, size_t index)
{
    platform_write(loss);
    platform_write(what);
    platform_write("[");
    put_number(index);
    platform_write("] ");
}

static void put_f32(const char *loss, const char *what, const float *numbers, size_t count)
{
    union {
        float number;
        uint32_t bits;
    } same;
    size_t index;
    for (index = 0; index < count; index++) {
        same.number = numbers[index];
        put_name(loss, what, index);
        put_bits(same.bits);
        platform_write("\n");
    }
}

static void put_f64(const char *loss, const char *what, const double *numbers, size_t count)
{
    union {
        double number;
        uint64_t bits;
    } same;
    size_t index;
    for (index = 0; index < count; index++) {
        same.number = numbers[index];
        put_name(loss, what, index);
        put_bits((uint32_t)(same.bits >> 32));
        put_bits((uint32_t)same.bits);
        platform_write("\n");
    }
}

/* Whether a call succeeded. */
static int is_well(const char *loss, xent_status status)
{
    if (status == XENT_STATUS_OK) {
        return 1;
    }
    failures++;
    platform_write(loss);
    platform_write(": ");
    platform_write(xent_error_message(status));
    platform_write("\n");
    return 0;
}

/* The next of a sequence of exact numbers in [-8, 8). */
static float next_logit(void)
{
    static uint32_t state = 1;
    state = state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (float)(int32_t)(state >> 8) / 1048576.0F - 8.0F;
}

static float logits[MOST], gradient[MOST], losses[MOST];

static void fill(float *numbers, size_t count)
{
    size_t index;
    for (index = 0; index < count; index++) {
        numbers[index] = next_logit();
    }
}

static xent_softmax_loss_f32 softmax_of(size_t classes)
{
    xent_softmax_loss_f32 loss;
    fill(logits, ROWS * classes);
    xent_softmax_loss_init_f32(&loss, sizeof loss);
    loss.rows = ROWS;
    loss.classes = classes;
    loss.logits = logits;
    loss.gradient = gradient;
    loss.losses = losses;
    return loss;
}

static void put_softmax(const char *name, const xent_softmax_loss_f32 *loss)
{
    double value;
    if (is_well(name, xent_softmax_loss_run_f32(loss, &value, NULL))) {
        put_f64(name, " mean", &value, 1);
        put_f32(name, " loss", losses, loss->rows);
        put_f32(name, " gradient", gradient, loss->rows * loss->classes);
    }
}

static void labels(void)
{
    static const int32_t labels[ROWS] = {7, 0, 3};
    xent_softmax_loss_f32 loss = softmax_of(CLASSES);
    loss.labels_i32 = labels;
    put_softmax("labels", &loss);
    loss.label_smoothing = 0.125;
    loss.ignore_index = 0;
    loss.has_ignore_index = 1;
    put_softmax("smoothed labels", &loss);
}

/* Too many classes to put a row in each lane. */
static void wide_rows(void)
{
    static const uint32_t labels[ROWS] = {69, 1, 32};
    xent_softmax_loss_f32 loss = softmax_of(WIDE_CLASSES);
    loss.labels_u32 = labels;
    put_softmax("wide rows", &loss);
}

static void dense(void)
{
    static const float targets[ROWS * 4] = {0.25F, 0.75F, 0, 0, 1, 0, 0, 0, 0.5F, 0, 0.125F, 0.375F};
    static const float weights[4] = {1, 2, 0.5F, 3};
    xent_softmax_loss_f32 loss = softmax_of(4);
    loss.dense = targets;
    loss.class_weights = weights;
    put_softmax("dense", &loss);
}

static void sigmoid(void)
{
    static const int32_t labels[ROWS * 2] = {1, 0, 0, 1, 1, 0};
    static const float weights[2] = {3, 0.75F};
    xent_sigmoid_loss_f32 loss;
    double value;
    fill(logits, ROWS * 2);
    xent_sigmoid_loss_init_f32(&loss, sizeof loss);
    loss.rows = ROWS;
    loss.classes = 2;
    loss.logits = logits;
    loss.labels_i32 = labels;
    loss.positive_weights = weights;
    loss.gradient = gradient;
    loss.losses = losses;
    if (is_well("sigmoid", xent_sigmoid_loss_run_f32(&loss, &value, NULL))) {
        put_f64("sigmoid", " mean", &value, 1);
        put_f32("sigmoid", " loss", losses, ROWS * 2);
        put_f32("sigmoid", " gradient", gradient, ROWS * 2);
    }
}

/* The processor has no instructions for double. */
static void doubles(void)
{
    static const int32_t labels[ROWS] = {4, 2, 0};
    static double logits[ROWS * 5], gradient[ROWS * 5];
    xent_softmax_loss_f64 loss;
    double value;
    size_t index;
    for (index = 0; index < ROWS * 5; index++) {
        logits[index] = next_logit();
    }
    xent_softmax_loss_init_f64(&loss, sizeof loss);
    loss.rows = ROWS;
    loss.classes = 5;
    loss.logits = logits;
    loss.labels_i32 = labels;
    loss.gradient = gradient;
    if (is_well("f64", xent_softmax_loss_run_f64(&loss, &value, NULL))) {
        put_f64("f64", " mean", &value, 1);
        put_f64("f64", " gradient", gradient, ROWS * 5);
    }
}

static void probabilities(void)
{
    fill(logits, CLASSES);
    if (is_well("softmax", xent_softmax_f32(logits, CLASSES, gradient))) {
        put_f32("softmax", "", gradient, CLASSES);
    }
}

int main(void)
{
    /* Without fused multiply-add, results have other bits. */
    if (!xent_level_has_fma()) {
        platform_write("no fused multiply-add\n");
        return 1;
    }
    labels();
    wide_rows();
    dense();
    sigmoid();
    doubles();
    probabilities();
    return failures == 0 ? 0 : 1;
}
