/*
 * The checks of one format, for which this is included: REAL is its type, F(name) the name for it, and TOLERANCE is
 * relative. The formulas are the plain ones, in double with the exp and log of libm.
 */

enum { F(MOST) = 64 * 40 };

/* Memory for a batch, with a number on either side of each result that must stay as it is. */
typedef struct F(memory) {
    REAL logits[F(MOST)], dense[F(MOST)];
    REAL class_weights[64], positive_weights[64], sample_weights[64];
    int32_t labels[F(MOST)];
    uint32_t unsigned_labels[F(MOST)];
    REAL gradient[F(MOST) + 2], losses[F(MOST) + 2];
    double expected_gradient[F(MOST)], expected_losses[F(MOST)];
} F(memory);

static F(memory) F(m);

/* What nothing that was computed here is. */
static const REAL F(UNTOUCHED) = (REAL)-12345.0;

static void F(fill)(size_t rows, size_t classes, size_t labels_below)
{
    size_t i;
    for (i = 0; i < rows * classes; i++) {
        F(m).logits[i] = (REAL)(16.0 * next_number() - 8.0);
        F(m).dense[i] = (REAL)(next_number() < 0.5 ? 0.0 : next_number());
        F(m).labels[i] = (int32_t)next_below(labels_below);
        F(m).unsigned_labels[i] = (uint32_t)F(m).labels[i];
    }
    for (i = 0; i < classes; i++) {
        F(m).class_weights[i] = (REAL)(0.25 + next_number());
        F(m).positive_weights[i] = (REAL)(0.25 + 3.0 * next_number());
    }
    for (i = 0; i < rows; i++) {
        F(m).sample_weights[i] = (REAL)(i % 5 == 4 ? 0.0 : 0.5 + next_number());
    }
}

static void F(leave_untouched)(void)
{
    size_t i;
    for (i = 0; i < F(MOST) + 2; i++) {
        F(m).gradient[i] = F(m).losses[i] = F(UNTOUCHED);
    }
}

/* Whether nothing has been written to a result from its number `first` on. */
static int F(is_untouched)(const REAL *result, size_t first)
{
    size_t i;
    for (i = first; i < F(MOST) + 2; i++) {
        if (result[i] != F(UNTOUCHED)) {
            return 0;
        }
    }
    return 1;
}

/* Sums over the rows that a mean may divide by. */
typedef struct F(sums) {
    double losses, label_weights, valid_losses, valid_rows, rows, weights;
} F(sums);

static double F(divisor)(const F(sums) *sums, int32_t reduction, int32_t mean_over, double usual)
{
    double divisor = usual;
    if (mean_over == XENT_MEAN_OVER_NOT_IGNORED) {
        divisor = sums->valid_rows;
    } else if (mean_over == XENT_MEAN_OVER_ALL_ROWS) {
        divisor = sums->rows;
    } else if (mean_over == XENT_MEAN_OVER_WEIGHTS) {
        divisor = sums->weights;
    }
    /* A mean of nothing is zero, as its sum is. */
    return reduction == XENT_REDUCTION_MEAN && divisor != 0.0 ? divisor : 1.0;
}

/* What a class of a row has for its target; `valid` becomes 0 if the row has none. */
static double F(target)(const F(xent_softmax_loss) *l, size_t row, size_t c, int *valid)
{
    double target = 0.0, number = 0.0;
    size_t k;
    if (l->labels_i32 || l->labels_u32) {
        int64_t label = l->labels_i32 ? (int64_t)l->labels_i32[row] : (int64_t)l->labels_u32[row];
        *valid = !(l->has_ignore_index && label == l->ignore_index);
        target = label == (int64_t)c;
    } else if (l->dense) {
        target = l->dense[row * l->classes + c];
    } else {
        for (k = 0; k < l->classes; k++) {
            number += l->multi_label[row * l->classes + k] != 0;
        }
        *valid = number != 0.0;
        target = *valid ? l->multi_label[row * l->classes + c] / number : 0.0;
    }
    target = (1.0 - l->label_smoothing) * target + l->label_smoothing / (double)l->classes;
    return target * (l->class_weights ? (double)l->class_weights[c] : 1.0);
}

static double F(expected_softmax)(const F(xent_softmax_loss) *l)
{
    F(sums) sums = {0, 0, 0, 0, 0, 0};
    double divisor;
    size_t row, c;
    int labelled = l->labels_i32 || l->labels_u32;
    for (row = 0; row < l->rows; row++) {
        const REAL *x = l->logits + row * l->classes;
        double *g = F(m).expected_gradient + row * l->classes;
        double weight = l->sample_weights ? (double)l->sample_weights[row] : 1.0;
        double max = -INFINITY, sum = 0.0, all = 0.0, loss = 0.0, label_weight = 1.0;
        int valid = 1;
        for (c = 0; c < l->classes; c++) {
            max = x[c] > max ? (double)x[c] : max;
        }
        for (c = 0; c < l->classes; c++) {
            sum += exp(x[c] - max);
        }
        for (c = 0; c < l->classes; c++) {
            double target = F(target)(l, row, c, &valid);
            all += target;
            loss += target * (log(sum) + max - x[c]);
        }
        for (c = 0; c < l->classes; c++) {
            g[c] = weight * l->scale * (all * exp(x[c] - max) / sum - F(target)(l, row, c, &valid));
        }
        valid = valid && weight != 0.0;
        if (labelled && valid && l->class_weights) {
            label_weight =
                l->class_weights[l->labels_i32 ? (size_t)l->labels_i32[row] : l->labels_u32[row]];
        }
        for (c = 0; c < l->classes; c++) {
            g[c] = valid ? g[c] : 0.0;
        }
        F(m).expected_losses[row] = valid ? weight * loss : 0.0;
        sums.losses += F(m).expected_losses[row];
        sums.rows += 1.0;
        sums.valid_rows += valid;
        sums.label_weights += valid ? label_weight : 0.0;
        sums.weights += valid ? label_weight * weight : 0.0;
    }
    divisor = F(divisor)(&sums, l->reduction, l->mean_over,
                         labelled ? sums.label_weights : sums.rows);
    for (c = 0; c < l->rows * l->classes; c++) {
        F(m).expected_gradient[c] /= divisor;
    }
    return sums.losses / divisor;
}

static double F(softplus)(double x)
{
    return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double F(expected_sigmoid)(const F(xent_sigmoid_loss) *l)
{
    F(sums) sums = {0, 0, 0, 0, 0, 0};
    double divisor;
    size_t row, c;
    for (row = 0; row < l->rows; row++) {
        double weight = l->sample_weights ? (double)l->sample_weights[row] : 1.0;
        int any = 0;
        for (c = 0; c < l->classes; c++) {
            size_t at = row * l->classes + c;
            double x = l->logits[at], e = l->label_smoothing;
            double y = l->dense ? (double)l->dense[at]
                                : (l->labels_i32 ? (double)l->labels_i32[at] : l->labels_u32[at]);
            double w = l->class_weights ? (double)l->class_weights[c] : 1.0;
            double q = l->positive_weights ? (double)l->positive_weights[c] : 1.0;
            int valid = weight != 0.0
                && !(!l->dense && l->has_ignore_index && y == (double)l->ignore_index);
            y = (1.0 - e) * y + 0.5 * e;
            w = valid ? w * weight : 0.0;
            F(m).expected_losses[at] =
                w * (q * y * F(softplus)(-x) + (1.0 - y) * F(softplus)(x));
            F(m).expected_gradient[at] =
                w * l->scale * ((1.0 - y) / (1.0 + exp(-x)) - q * y / (1.0 + exp(x)));
            sums.losses += F(m).expected_losses[at];
            sums.weights += w;
            sums.valid_losses += valid;
            any |= valid;
        }
        sums.rows += 1.0;
        sums.valid_rows += any;
    }
    divisor = F(divisor)(&sums, l->reduction, l->mean_over, sums.valid_losses);
    for (c = 0; c < l->rows * l->classes; c++) {
        F(m).expected_gradient[c] /= divisor;
    }
    return sums.losses / divisor;
}

static void F(expect_results)(size_t elements, size_t losses)
{
    size_t i;
    unsigned long wrong = 0;
    for (i = 0; i < elements; i++) {
        wrong += !is_near(F(m).gradient[i + 1], F(m).expected_gradient[i], TOLERANCE);
    }
    EXPECT(wrong == 0);
    for (i = 0; i < losses; i++) {
        wrong += !is_near(F(m).losses[i + 1], F(m).expected_losses[i], TOLERANCE);
    }
    EXPECT(wrong == 0);
    EXPECT(F(m).gradient[0] == F(UNTOUCHED) && F(is_untouched)(F(m).gradient, elements + 1));
    EXPECT(F(m).losses[0] == F(UNTOUCHED) && F(is_untouched)(F(m).losses, losses + 1));
}

/* A softmax loss with its options in the bits of `options`. */
static void F(check_softmax)(size_t rows, size_t classes, int kind, unsigned options)
{
    F(xent_softmax_loss) l;
    double value = NAN, again = NAN, expected;
    F(fill)(rows, classes, classes);
    F(leave_untouched)();
    EXPECT(F(xent_softmax_loss_init)(&l, sizeof l) == XENT_STATUS_OK);
    l.rows = rows;
    l.classes = classes;
    l.logits = F(m).logits;
    l.labels_i32 = kind == 0 ? F(m).labels : NULL;
    l.labels_u32 = kind == 1 ? F(m).unsigned_labels : NULL;
    l.dense = kind == 2 ? F(m).dense : NULL;
    l.multi_label = kind == 3 ? F(m).dense : NULL;
    l.class_weights = options & 1 ? F(m).class_weights : NULL;
    l.sample_weights = options & 2 ? F(m).sample_weights : NULL;
    l.label_smoothing = options & 4 ? 0.125 : 0.0;
    l.has_ignore_index = (options & 8) && kind < 2;
    l.ignore_index = 1;
    l.scale = options & 16 ? 3.0 : 1.0;
    l.reduction = (int32_t)(options % 3);
    l.mean_over = (int32_t)(options % 4);
    expected = F(expected_softmax)(&l);

    l.gradient = F(m).gradient + 1;
    l.losses = F(m).losses + 1;
    if (l.reduction == XENT_REDUCTION_NONE) {
        EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    } else {
        EXPECT(F(xent_softmax_loss_run)(&l, &value, NULL) == XENT_STATUS_OK);
        EXPECT(is_near(value, expected, TOLERANCE));
    }
    F(expect_results)(rows * classes, rows);

    if (l.reduction != XENT_REDUCTION_NONE) {
        l.gradient = NULL;
        l.losses = NULL;
        EXPECT(F(xent_softmax_loss_run)(&l, &again, NULL) == XENT_STATUS_OK);
        EXPECT(memcmp(&again, &value, sizeof value) == 0);
    }
    l.gradient = F(m).logits;
    EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    EXPECT(memcmp(F(m).logits, F(m).gradient + 1, rows * classes * sizeof(REAL)) == 0);
}

static void F(check_sigmoid)(size_t rows, size_t classes, int kind, unsigned options)
{
    F(xent_sigmoid_loss) l;
    double value = NAN, again = NAN, expected;
    F(fill)(rows, classes, 2);
    F(leave_untouched)();
    EXPECT(F(xent_sigmoid_loss_init)(&l, sizeof l) == XENT_STATUS_OK);
    l.rows = rows;
    l.classes = classes;
    l.logits = F(m).logits;
    l.labels_i32 = kind == 0 ? F(m).labels : NULL;
    l.labels_u32 = kind == 1 ? F(m).unsigned_labels : NULL;
    l.dense = kind == 2 ? F(m).dense : NULL;
    l.class_weights = options & 1 ? F(m).class_weights : NULL;
    l.sample_weights = options & 2 ? F(m).sample_weights : NULL;
    l.label_smoothing = options & 4 ? 0.125 : 0.0;
    l.has_ignore_index = (options & 8) && kind < 2;
    l.ignore_index = 0;
    l.positive_weights = options & 16 ? F(m).positive_weights : NULL;
    l.scale = options & 16 ? 3.0 : 1.0;
    l.reduction = (int32_t)(options % 3);
    l.mean_over = (int32_t)(options % 4);
    expected = F(expected_sigmoid)(&l);

    l.gradient = F(m).gradient + 1;
    l.losses = F(m).losses + 1;
    if (l.reduction == XENT_REDUCTION_NONE) {
        EXPECT(F(xent_sigmoid_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    } else {
        EXPECT(F(xent_sigmoid_loss_run)(&l, &value, NULL) == XENT_STATUS_OK);
        EXPECT(is_near(value, expected, TOLERANCE));
    }
    F(expect_results)(rows * classes, rows * classes);

    if (l.reduction != XENT_REDUCTION_NONE) {
        l.gradient = NULL;
        l.losses = NULL;
        EXPECT(F(xent_sigmoid_loss_run)(&l, &again, NULL) == XENT_STATUS_OK);
        EXPECT(memcmp(&again, &value, sizeof value) == 0);
    }
    l.gradient = F(m).logits;
    EXPECT(F(xent_sigmoid_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    EXPECT(memcmp(F(m).logits, F(m).gradient + 1, rows * classes * sizeof(REAL)) == 0);
}

/* What is done where there is nothing to take a mean of. */
static void F(check_nothing)(void)
{
    F(xent_softmax_loss) l;
    double value = 1.0;
    size_t place = 77;
    const REAL none[3] = {0, 0, 0};
    const int32_t ignored[1] = {-100};
    F(fill)(1, 3, 3);
    F(leave_untouched)();
    F(xent_softmax_loss_init)(&l, sizeof l);
    l.rows = 1;
    l.classes = 3;
    l.logits = F(m).logits;
    l.labels_i32 = ignored;
    l.has_ignore_index = 1;
    l.ignore_index = -100;
    EXPECT(F(xent_softmax_loss_run)(&l, &value, NULL) == XENT_STATUS_OK && value == 0.0);
    l.nothing_valid = XENT_NOTHING_VALID_NAN;
    EXPECT(F(xent_softmax_loss_run)(&l, &value, NULL) == XENT_STATUS_OK && isnan(value));
    l.nothing_valid = XENT_NOTHING_VALID_ERROR;
    value = 1.0;
    l.gradient = F(m).gradient;
    EXPECT(F(xent_softmax_loss_run)(&l, &value, &place) == XENT_STATUS_NOTHING_VALID);
    l.labels_i32 = NULL;
    l.has_ignore_index = 0;
    l.multi_label = none;
    EXPECT(place == 77);
    EXPECT(F(xent_softmax_loss_run)(&l, &value, &place) == XENT_STATUS_EMPTY);
    EXPECT(place == 0 && value == 1.0 && F(is_untouched)(F(m).gradient, 0));

    /* No rows at all need no memory. */
    F(xent_softmax_loss_init)(&l, sizeof l);
    l.classes = 3;
    EXPECT(F(xent_softmax_loss_run)(&l, &value, NULL) == XENT_STATUS_OK && value == 0.0);
}

/* A call that has to be refused, without a trace. */
static void F(expect_refused)(const F(xent_softmax_loss) *l, xent_status status, size_t at)
{
    double value = -1.0;
    size_t place = 77;
    EXPECT(F(xent_softmax_loss_run)(l, &value, &place) == status);
    EXPECT(value == -1.0 && place == at);
    EXPECT(F(is_untouched)(F(m).gradient, 0) && F(is_untouched)(F(m).losses, 0));
    EXPECT(F(xent_softmax_loss_run)(l, NULL, NULL) == status || status == XENT_STATUS_NOT_REDUCED);
}

static void F(check_refused_softmax)(void)
{
    /* Of a later version of the header: an option behind those that are known. */
    struct { F(xent_softmax_loss) known; int64_t option; } later;
    F(xent_softmax_loss) good, l;
    REAL bad_weights[3] = {1, (REAL)-1.0, 1};
    double value = -1.0;
    F(fill)(4, 3, 3);
    F(leave_untouched)();
    F(xent_softmax_loss_init)(&good, sizeof good);
    good.rows = 4;
    good.classes = 3;
    good.logits = F(m).logits;
    good.labels_i32 = F(m).labels;
    good.gradient = F(m).gradient;
    good.losses = F(m).losses;

    EXPECT(F(xent_softmax_loss_init)(NULL, sizeof l) == XENT_STATUS_NULL);
    EXPECT(F(xent_softmax_loss_init)(&l, 3) == XENT_STATUS_SIZE);
    EXPECT(F(xent_softmax_loss_run)(NULL, &value, NULL) == XENT_STATUS_NULL && value == -1.0);
    l = good; l.size = 0; F(expect_refused)(&l, XENT_STATUS_SIZE, 77);
    l = good; l.size = SIZE_MAX; F(expect_refused)(&l, XENT_STATUS_SIZE, 77);
    l = good; l.logits = NULL; F(expect_refused)(&l, XENT_STATUS_NULL, 77);
    l = good; l.logits = (const REAL *)(const void *)((const char *)F(m).logits + 1);
    F(expect_refused)(&l, XENT_STATUS_ALIGNMENT, 77);
    l = good; l.classes = 0; F(expect_refused)(&l, XENT_STATUS_CLASSES, 77);
    l = good; l.rows = SIZE_MAX; F(expect_refused)(&l, XENT_STATUS_TOO_LARGE, 77);
    l = good; l.rows = SIZE_MAX / 3 / sizeof(REAL); F(expect_refused)(&l, XENT_STATUS_TOO_LARGE, 77);
    l = good; l.labels_i32 = NULL; F(expect_refused)(&l, XENT_STATUS_TARGETS, 77);
    l = good; l.dense = F(m).dense; F(expect_refused)(&l, XENT_STATUS_TARGETS, 77);
    l = good; l.class_weights = bad_weights; F(expect_refused)(&l, XENT_STATUS_CLASS_WEIGHTS, 77);
    l = good; l.label_smoothing = 1.5; F(expect_refused)(&l, XENT_STATUS_LABEL_SMOOTHING, 77);
    l = good; l.label_smoothing = NAN; F(expect_refused)(&l, XENT_STATUS_LABEL_SMOOTHING, 77);
    l = good; l.reduction = 3; F(expect_refused)(&l, XENT_STATUS_CHOICE, 77);
    l = good; l.mean_over = 4; F(expect_refused)(&l, XENT_STATUS_CHOICE, 77);
    l = good; l.nothing_valid = -1; F(expect_refused)(&l, XENT_STATUS_CHOICE, 77);
    l = good; l.gradient = F(m).logits + 1; F(expect_refused)(&l, XENT_STATUS_OVERLAP, 77);
    l = good; l.losses = F(m).gradient + 11; F(expect_refused)(&l, XENT_STATUS_OVERLAP, 77);
    l = good; l.sample_weights = F(m).losses + 3; F(expect_refused)(&l, XENT_STATUS_OVERLAP, 77);
    l = good; l.labels_i32 = NULL; l.dense = F(m).dense; l.has_ignore_index = 1;
    F(expect_refused)(&l, XENT_STATUS_IGNORE_INDEX, 77);
    F(m).labels[2] = 3; l = good; F(expect_refused)(&l, XENT_STATUS_LABEL, 2);
    F(m).labels[2] = -1; F(expect_refused)(&l, XENT_STATUS_LABEL, 2);
    F(m).labels[2] = 0;
    F(m).unsigned_labels[3] = UINT32_MAX;
    l.labels_i32 = NULL; l.labels_u32 = F(m).unsigned_labels;
    F(expect_refused)(&l, XENT_STATUS_LABEL, 3);

    EXPECT(F(xent_softmax_loss_init)(&later.known, sizeof later) == XENT_STATUS_OK);
    EXPECT(later.option == 0);
    l = good; l.size = sizeof later; later.known = l;
    later.option = 1; F(expect_refused)(&later.known, XENT_STATUS_SIZE, 77);
    later.option = 0;
    EXPECT(F(xent_softmax_loss_run)(&later.known, &value, NULL) == XENT_STATUS_OK && value > 0.0);
    F(leave_untouched)();

    l = good; l.reduction = XENT_REDUCTION_NONE;
    value = -1.0;
    EXPECT(F(xent_softmax_loss_run)(&l, &value, NULL) == XENT_STATUS_NOT_REDUCED && value == -1.0);
    EXPECT(F(is_untouched)(F(m).gradient, 0));

    /* Neighbours do not overlap. */
    l = good; l.losses = F(m).gradient + 12;
    EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
}

static void F(check_refused_sigmoid)(void)
{
    F(xent_sigmoid_loss) l;
    REAL bad_weights[3] = {1, (REAL)INFINITY, 1};
    double value = -1.0;
    size_t place = 77;
    F(fill)(4, 3, 2);
    F(leave_untouched)();
    F(xent_sigmoid_loss_init)(&l, sizeof l);
    EXPECT(F(xent_sigmoid_loss_init)(NULL, sizeof l) == XENT_STATUS_NULL);
    l.rows = 4;
    l.classes = 3;
    l.logits = F(m).logits;
    l.gradient = F(m).gradient;
    l.losses = F(m).losses;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_TARGETS);
    l.labels_u32 = F(m).unsigned_labels;
    l.positive_weights = bad_weights;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_POSITIVE_WEIGHTS);
    l.positive_weights = F(m).gradient + 6;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_OVERLAP);
    l.positive_weights = NULL;
    l.class_weights = bad_weights;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_CLASS_WEIGHTS);
    l.class_weights = NULL;
    EXPECT(place == 77);
    F(m).unsigned_labels[10] = 2;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_LABEL && place == 10);
    EXPECT(value == -1.0 && F(is_untouched)(F(m).gradient, 0) && F(is_untouched)(F(m).losses, 0));
    EXPECT(F(xent_sigmoid_loss_run)(NULL, &value, NULL) == XENT_STATUS_NULL);
}

static void F(check_slices)(size_t count)
{
    double sum = 0.0;
    REAL lse = 0, untouched;
    size_t i;
    unsigned long wrong = 0;
    REAL *out = F(m).gradient + 1;
    F(fill)(1, count, 2);
    for (i = 0; i < count; i++) {
        sum += exp(F(m).logits[i]);
    }
    EXPECT(F(xent_log_sum_exp)(F(m).logits, count, &lse) == XENT_STATUS_OK);
    EXPECT(is_near(lse, log(sum), TOLERANCE));
    F(leave_untouched)();
    EXPECT(F(xent_exp)(F(m).logits, count, out) == XENT_STATUS_OK);
    for (i = 0; i < count; i++) {
        wrong += !is_near(out[i], exp(F(m).logits[i]), TOLERANCE);
    }
    EXPECT(F(xent_softmax)(F(m).logits, count, out) == XENT_STATUS_OK);
    for (i = 0; i < count; i++) {
        wrong += !is_near(out[i], exp(F(m).logits[i]) / sum, TOLERANCE);
    }
    EXPECT(F(xent_log_softmax)(F(m).logits, count, out) == XENT_STATUS_OK);
    for (i = 0; i < count; i++) {
        wrong += !is_near(out[i], F(m).logits[i] - log(sum), TOLERANCE);
    }
    EXPECT(wrong == 0);
    EXPECT(F(m).gradient[0] == F(UNTOUCHED) && F(is_untouched)(F(m).gradient, count + 1));

    untouched = F(m).logits[0];
    EXPECT(F(xent_exp)(NULL, 1, out) == XENT_STATUS_NULL);
    EXPECT(F(xent_exp)(F(m).logits, 1, NULL) == XENT_STATUS_NULL);
    EXPECT(F(xent_exp)(NULL, 0, NULL) == XENT_STATUS_OK);
    EXPECT(F(xent_exp)(F(m).logits, 2, F(m).logits + 1) == XENT_STATUS_OVERLAP);
    EXPECT(F(xent_softmax)(F(m).logits, 2, F(m).logits) == XENT_STATUS_OVERLAP);
    EXPECT(F(xent_log_softmax)(F(m).logits, SIZE_MAX / 2, out) == XENT_STATUS_TOO_LARGE);
    EXPECT(F(xent_log_sum_exp)(F(m).logits, 1, NULL) == XENT_STATUS_NULL);
    EXPECT(F(xent_log_sum_exp)(NULL, 1, &lse) == XENT_STATUS_NULL);
    EXPECT(F(m).logits[0] == untouched);
}

static void F(check_format)(void)
{
    static const size_t shapes[][2] = {{1, 1}, {7, 5}, {64, 10}, {3, 40}, {13, 33}};
    size_t shape;
    unsigned options;
    int kind;
    for (shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++) {
        for (options = 0; options < 32; options++) {
            for (kind = 0; kind < 4; kind++) {
                F(check_softmax)(shapes[shape][0], shapes[shape][1], kind, options);
            }
            for (kind = 0; kind < 3; kind++) {
                F(check_sigmoid)(shapes[shape][0], shapes[shape][1], kind, options);
            }
        }
        F(check_slices)(shapes[shape][1]);
    }
    F(check_nothing)();
    F(check_refused_softmax)();
    F(check_refused_sigmoid)();
}
