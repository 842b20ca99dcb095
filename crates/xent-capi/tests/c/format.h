/*
 * The checks of one format. Before this file is included, REAL is its type, F(name) its name, and TOLERANCE is
 * relative. The formulas are the textbook's, in double with the exp and log of libm.
 */

enum { F(MOST) = 64 * 40 };

/* Memory for a batch, with a number on either side of each result that must not change. */
typedef struct F(memory) {
    REAL logits[F(MOST)], dense[F(MOST)];
    REAL class_weights[64], positive_weights[64], sample_weights[64];
    int8_t i8[F(MOST)];
    uint8_t u8[F(MOST)];
    int16_t i16[F(MOST)];
    uint16_t u16[F(MOST)];
    int32_t labels[F(MOST)];
    uint32_t unsigned_labels[F(MOST)];
    int64_t i64[F(MOST)];
    uint64_t u64[F(MOST)];
    REAL gradient[F(MOST) + 2], losses[F(MOST) + 2], hessian[F(MOST) + 2], log_sum_exp[F(MOST) + 2];
    uint32_t predicted[F(MOST)];
    double expected_gradient[F(MOST)], expected_losses[F(MOST)], expected_hessian[F(MOST)];
    double expected_log_sum_exp[F(MOST)];
    uint32_t expected_predicted[F(MOST)];
} F(memory);

static F(memory) F(m);

/* A value that no computation here returns. */
static const REAL F(UNTOUCHED) = (REAL)-12345.0;

static void F(fill)(size_t rows, size_t classes, size_t labels_below)
{
    size_t i;
    for (i = 0; i < F(MOST); i++) {
        F(m).logits[i] = (REAL)(16.0 * next_number() - 8.0);
        F(m).dense[i] = (REAL)(next_number() < 0.5 ? 0.0 : next_number());
        F(m).labels[i] = (int32_t)next_below(labels_below);
        F(m).unsigned_labels[i] = (uint32_t)F(m).labels[i];
        F(m).i8[i] = (int8_t)F(m).labels[i];
        F(m).u8[i] = (uint8_t)F(m).labels[i];
        F(m).i16[i] = (int16_t)F(m).labels[i];
        F(m).u16[i] = (uint16_t)F(m).labels[i];
        F(m).i64[i] = F(m).labels[i];
        F(m).u64[i] = (uint64_t)F(m).labels[i];
    }
    for (i = 0; i < classes; i++) {
        F(m).class_weights[i] = (REAL)(0.25 + next_number());
        F(m).positive_weights[i] = (REAL)(0.25 + 3.0 * next_number());
    }
    for (i = 0; i < rows; i++) {
        F(m).sample_weights[i] = (REAL)(i % 5 == 4 ? 0.0 : i % 5 == 3 ? -0.25 : 0.5 + next_number());
    }
}

static void F(leave_untouched)(void)
{
    size_t i;
    for (i = 0; i < F(MOST) + 2; i++) {
        F(m).gradient[i] = F(m).losses[i] = F(m).hessian[i] = F(m).log_sum_exp[i] = F(UNTOUCHED);
    }
}

/* Whether nothing was written to a result from its index `first` on. */
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

/* The possible divisors of a mean, summed over the rows, and the other counts. */
typedef struct F(sums) {
    double losses, label_weights, valid_losses, valid_rows, rows, weights;
    size_t correct;
} F(sums);

static double F(divisor)(const F(sums) *sums, int32_t reduction, int32_t mean_over, double usual)
{
    double divisor = usual;
    if (mean_over == XENT_MEAN_OVER_NOT_IGNORED) {
        divisor = sums->valid_losses;
    } else if (mean_over == XENT_MEAN_OVER_ALL_ROWS) {
        divisor = sums->rows;
    } else if (mean_over == XENT_MEAN_OVER_WEIGHTS) {
        divisor = sums->weights;
    }
    return reduction == XENT_REDUCTION_MEAN ? divisor : 1.0;
}

/* The factor of the gradient and the other derivatives; a mean over nothing is zero, and so is its gradient. */
static double F(finish)(const F(sums) *sums, double divisor, size_t elements)
{
    int nothing = sums->valid_losses == 0.0 || divisor <= 0.0;
    size_t i;
    for (i = 0; i < elements; i++) {
        F(m).expected_gradient[i] = nothing ? 0.0 : F(m).expected_gradient[i] / divisor;
        F(m).expected_hessian[i] = nothing ? 0.0 : F(m).expected_hessian[i] / divisor;
    }
    return nothing ? 0.0 : sums->losses / divisor;
}

/* The place of a class of a row, in blocks of inner rows that start `stride` numbers apart. */
static size_t F(place)(size_t row, size_t c, size_t inner, size_t stride)
{
    inner = inner ? inner : 1;
    return row / inner * stride + c * inner + row % inner;
}

static int F(softmax_label)(const F(xent_softmax_loss) *l, size_t at, int64_t *label)
{
    FIND_LABEL(l, at, label);
    return 0;
}

static int F(sigmoid_label)(const F(xent_sigmoid_loss) *l, size_t at, int64_t *label)
{
    FIND_LABEL(l, at, label);
    return 0;
}

/* The target of a class of a row; `valid` becomes 0 if the row has no target. */
static double F(target)(const F(xent_softmax_loss) *l, size_t row, size_t c, int *valid)
{
    double target = 0.0, number = 0.0;
    size_t k, inner = l->inner ? l->inner : 1, block = l->classes * inner;
    int64_t label;
    if (F(softmax_label)(l, row, &label)) {
        *valid = !(l->has_ignore_index && label == l->ignore_index);
        target = label == (int64_t)c;
    } else if (l->dense) {
        target = l->dense[F(place)(row, c, inner, block)];
    } else {
        for (k = 0; k < l->classes; k++) {
            number += l->multi_label[F(place)(row, k, inner, block)] != 0;
        }
        *valid = number != 0.0;
        target = *valid ? l->multi_label[F(place)(row, c, inner, block)] / number : 0.0;
    }
    target = (1.0 - l->label_smoothing) * target + l->label_smoothing / (double)l->classes;
    return target * (l->class_weights ? (double)l->class_weights[c] : 1.0);
}

/* A second derivative in its convention; two of them have a factor. */
static double F(second)(int32_t convention, double weight, double p, double rest, double xgboost, double lightgbm)
{
    double h = weight * p * rest;
    if (convention == XENT_HESSIAN_XGBOOST) {
        return fmax(xgboost * h, 1e-16);
    }
    return convention == XENT_HESSIAN_LIGHTGBM ? lightgbm * h : h;
}

/* All expected values are stored without gaps, classes x inner numbers a block. */
static double F(expected_softmax)(const F(xent_softmax_loss) *l, F(sums) *sums)
{
    F(sums) zero = {0, 0, 0, 0, 0, 0, 0};
    size_t inner = l->inner ? l->inner : 1, block = l->classes * inner, row, c;
    size_t stride = l->logits_stride ? l->logits_stride : block;
    int64_t label = 0;
    int labelled = F(softmax_label)(l, 0, &label);
    double classes = (double)l->classes, divisor;
    *sums = zero;
    for (row = 0; row < l->rows; row++) {
        double weight = l->sample_weights ? (double)l->sample_weights[row] : 1.0;
        double max = -INFINITY, sum = 0.0, all = 0.0, loss = 0.0, label_weight = 1.0, slope = 1.0;
        uint32_t predicted = 0;
        int valid = 1;
        for (c = 0; c < l->classes; c++) {
            double x = l->logits[F(place)(row, c, inner, stride)];
            predicted = x > max ? (uint32_t)c : predicted;
            max = x > max ? x : max;
        }
        for (c = 0; c < l->classes; c++) {
            sum += exp(l->logits[F(place)(row, c, inner, stride)] - max);
        }
        for (c = 0; c < l->classes; c++) {
            double target = F(target)(l, row, c, &valid);
            all += target;
            loss += target * (log(sum) + max - l->logits[F(place)(row, c, inner, stride)]);
        }
        if (labelled) {
            F(softmax_label)(l, row, &label);
            label_weight = valid && l->class_weights ? (double)l->class_weights[label] : 1.0;
            sums->correct += valid && predicted == (uint32_t)label;
        }
        if (labelled && valid && l->focal_gamma != 0.0) {
            double x = l->logits[F(place)(row, (size_t)label, inner, stride)];
            double lp = x - max - log(sum), p = exp(lp), gamma = l->focal_gamma;
            loss *= pow(1.0 - p, gamma);
            slope = pow(1.0 - p, gamma - 1.0) * (1.0 - p - gamma * p * lp);
        }
        for (c = 0; c < l->classes; c++) {
            size_t at = F(place)(row, c, inner, block);
            double p = exp(l->logits[F(place)(row, c, inner, stride)] - max) / sum;
            double g = slope * (all * p - F(target)(l, row, c, &valid));
            F(m).expected_gradient[at] = valid ? weight * l->scale * g : 0.0;
            F(m).expected_hessian[at] = !valid ? 0.0
                : F(second)(l->hessian_convention, weight * l->scale * all, p, 1.0 - p, 2.0,
                            classes / (classes - 1.0));
        }
        F(m).expected_predicted[row] = predicted;
        F(m).expected_log_sum_exp[row] = log(sum) + max;
        F(m).expected_losses[row] = valid ? weight * loss : 0.0;
        sums->losses += F(m).expected_losses[row];
        sums->rows += 1.0;
        sums->valid_rows += valid;
        sums->label_weights += valid ? label_weight : 0.0;
        sums->weights += valid ? label_weight * weight : 0.0;
    }
    sums->valid_losses = sums->valid_rows;
    divisor = F(divisor)(sums, l->reduction, l->mean_over,
                         labelled ? sums->label_weights : sums->rows);
    return F(finish)(sums, divisor, l->rows * l->classes);
}

static double F(softplus)(double x)
{
    return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double F(expected_sigmoid)(const F(xent_sigmoid_loss) *l, F(sums) *sums)
{
    F(sums) zero = {0, 0, 0, 0, 0, 0, 0};
    size_t inner = l->inner ? l->inner : 1, block = l->classes * inner, row, c;
    size_t stride = l->logits_stride ? l->logits_stride : block;
    double divisor;
    *sums = zero;
    for (row = 0; row < l->rows; row++) {
        double weight = l->sample_weights ? (double)l->sample_weights[row] : 1.0;
        int any = 0;
        for (c = 0; c < l->classes; c++) {
            size_t at = F(place)(row, c, inner, block);
            double x = l->logits[F(place)(row, c, inner, stride)], e = l->label_smoothing;
            int64_t label = 0;
            int labelled = F(sigmoid_label)(l, at, &label);
            double y = labelled ? (double)label : (double)l->dense[at];
            double w = l->class_weights ? (double)l->class_weights[c] : 1.0;
            double q = l->positive_weights ? (double)l->positive_weights[c] : 1.0;
            double p = 1.0 / (1.0 + exp(-x)), rest = 1.0 / (1.0 + exp(x)), gamma = l->focal_gamma;
            double a = l->has_focal_alpha ? l->focal_alpha : 1.0;
            double b = l->has_focal_alpha ? 1.0 - l->focal_alpha : 1.0;
            /* The losses of a target of 1 and of 0, and their derivatives. */
            double one = a * q * pow(rest, gamma) * F(softplus)(-x);
            double none = b * pow(p, gamma) * F(softplus)(x);
            double d_one = -a * q * pow(rest, gamma) * (rest + gamma * p * F(softplus)(-x));
            double d_none = b * pow(p, gamma) * (p + gamma * rest * F(softplus)(x));
            int valid = !(labelled && l->has_ignore_index && label == l->ignore_index);
            y = (1.0 - e) * y + 0.5 * e;
            w = valid ? w * weight : 0.0;
            F(m).expected_losses[at] = w * (y * one + (1.0 - y) * none);
            F(m).expected_gradient[at] = w * l->scale * (y * d_one + (1.0 - y) * d_none);
            F(m).expected_hessian[at] = w * l->scale * (1.0 - y + q * y) * p * rest;
            sums->losses += F(m).expected_losses[at];
            sums->weights += w;
            sums->valid_losses += valid;
            any |= valid;
        }
        sums->rows += 1.0;
        sums->valid_rows += any;
    }
    divisor = F(divisor)(sums, l->reduction, l->mean_over, sums->valid_losses);
    return F(finish)(sums, divisor, l->rows * l->classes);
}

/* The layouts of a batch in turn: plain, with gaps, with the class axis not the last, with both. */
typedef struct F(layout) {
    size_t inner, logits_stride, gradient_stride;
} F(layout);

static F(layout) F(next_layout)(size_t rows, size_t classes)
{
    static unsigned turn;
    F(layout) layout = {0, 0, 0};
    size_t block = classes;
    turn += 1;
    if (turn & 2) {
        layout.inner = rows % 4 == 0 ? 4 : rows;
        block *= layout.inner;
    }
    if (turn & 1) {
        layout.logits_stride = block + 3;
        layout.gradient_stride = block + 1;
    }
    return layout;
}

/* Whether the gradient was written, and nothing in its gaps or around it. */
static void F(expect_gradient)(size_t rows, size_t classes, F(layout) layout)
{
    size_t row, c, i, block = classes * (layout.inner ? layout.inner : 1);
    size_t stride = layout.gradient_stride ? layout.gradient_stride : block;
    unsigned long wrong = 0, touched = 0;
    for (row = 0; row < rows; row++) {
        for (c = 0; c < classes; c++) {
            wrong += !is_near(F(m).gradient[1 + F(place)(row, c, layout.inner, stride)],
                              F(m).expected_gradient[F(place)(row, c, layout.inner, block)], TOLERANCE);
        }
    }
    for (i = 0; i < F(MOST) + 2; i++) {
        touched += F(m).gradient[i] != F(UNTOUCHED);
    }
    EXPECT(wrong == 0);
    EXPECT(touched == rows * classes && F(m).gradient[0] == F(UNTOUCHED));
}

static void F(expect_near)(const REAL *found, const double *expected, size_t count)
{
    size_t i;
    unsigned long wrong = 0;
    for (i = 0; i < count; i++) {
        wrong += !is_near(found[i + 1], expected[i], TOLERANCE);
    }
    EXPECT(wrong == 0 && found[0] == F(UNTOUCHED) && F(is_untouched)(found, count + 1));
}

/* Whether the gradient in place of the logits has the same bits. */
static int F(is_same_in_place)(size_t rows, size_t classes, F(layout) layout)
{
    size_t row, c, block = classes * (layout.inner ? layout.inner : 1);
    size_t from = layout.logits_stride ? layout.logits_stride : block;
    size_t to = layout.gradient_stride ? layout.gradient_stride : block;
    for (row = 0; row < rows; row++) {
        for (c = 0; c < classes; c++) {
            const REAL *a = F(m).logits + F(place)(row, c, layout.inner, from);
            const REAL *b = F(m).gradient + 1 + F(place)(row, c, layout.inner, to);
            if (memcmp(a, b, sizeof *a) != 0) {
                return 0;
            }
        }
    }
    return 1;
}

/* A softmax loss of labels (kind 0), dense (1) or multi-label (2) targets. The bits of `options` select its options. */
static void F(check_softmax)(size_t rows, size_t classes, int kind, unsigned options)
{
    F(xent_softmax_loss) l;
    F(layout) layout = F(next_layout)(rows, classes);
    F(sums) sums;
    double value = NAN, again = NAN, expected, denominator = NAN;
    size_t correct = 77, valid = 77;
    F(fill)(rows, classes, classes);
    F(leave_untouched)();
    EXPECT(F(xent_softmax_loss_init)(&l, sizeof l) == XENT_STATUS_OK);
    l.rows = rows;
    l.classes = classes;
    l.inner = layout.inner;
    l.logits_stride = layout.logits_stride;
    l.gradient_stride = layout.gradient_stride;
    l.logits = F(m).logits;
    if (kind == 0) {
        GIVE_LABELS(l, F(m));
    }
    l.dense = kind == 1 ? F(m).dense : NULL;
    l.multi_label = kind == 2 ? F(m).dense : NULL;
    l.class_weights = options & 1 ? F(m).class_weights : NULL;
    l.sample_weights = options & 2 ? F(m).sample_weights : NULL;
    l.label_smoothing = options & 4 ? 0.125 : 0.0;
    l.focal_gamma = (options & 32) && kind == 0 && !(options & 4) ? 2.0 : 0.0;
    l.has_ignore_index = (options & 8) && kind == 0;
    l.ignore_index = 1;
    l.scale = options & 16 ? 3.0 : 1.0;
    l.reduction = (int32_t)(options % 3);
    l.mean_over = (int32_t)(options % 4);
    l.hessian_convention = classes == 1 ? 0 : (int32_t)((options + (unsigned)kind) % 3);
    expected = F(expected_softmax)(&l, &sums);

    l.gradient = F(m).gradient + 1;
    l.losses = F(m).losses + 1;
    l.log_sum_exp = F(m).log_sum_exp + 1;
    l.predicted = F(m).predicted;
    /* With a negative weight it would be below the floor of its convention. */
    l.hessian = l.focal_gamma == 0.0 && !l.sample_weights ? F(m).hessian + 1 : NULL;
    l.correct = kind == 0 ? &correct : NULL;
    l.valid_rows = &valid;
    l.denominator = &denominator;
    if (l.reduction == XENT_REDUCTION_NONE) {
        EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    } else {
        EXPECT(F(xent_softmax_loss_run)(&l, &value, NULL) == XENT_STATUS_OK);
        EXPECT(is_near(value, expected, TOLERANCE));
    }
    F(expect_gradient)(rows, classes, layout);
    F(expect_near)(F(m).losses, F(m).expected_losses, rows);
    F(expect_near)(F(m).log_sum_exp, F(m).expected_log_sum_exp, rows);
    F(expect_near)(F(m).hessian, F(m).expected_hessian, l.hessian ? rows * classes : 0);
    EXPECT(memcmp(F(m).predicted, F(m).expected_predicted, rows * sizeof(uint32_t)) == 0);
    EXPECT(correct == (kind == 0 ? sums.correct : 77) && valid == (size_t)sums.valid_rows);
    EXPECT(is_near(denominator,
                   F(divisor)(&sums, l.reduction, l.mean_over, kind == 0 ? sums.label_weights : sums.rows),
                   TOLERANCE));

    l.losses = l.log_sum_exp = l.hessian = NULL;
    l.predicted = NULL;
    l.correct = NULL;
    if (l.reduction != XENT_REDUCTION_NONE) {
        l.gradient = NULL;
        EXPECT(F(xent_softmax_loss_run)(&l, &again, NULL) == XENT_STATUS_OK);
        EXPECT(memcmp(&again, &value, sizeof value) == 0);
    }
    l.gradient = F(m).logits;
    l.gradient_stride = 0;
    EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    EXPECT(F(is_same_in_place)(rows, classes, layout));
}

/* A sigmoid loss of labels (kind 0) or dense targets (1). */
static void F(check_sigmoid)(size_t rows, size_t classes, int kind, unsigned options)
{
    F(xent_sigmoid_loss) l;
    F(layout) layout = F(next_layout)(rows, classes);
    F(sums) sums;
    double value = NAN, again = NAN, expected, denominator = NAN;
    size_t valid_rows = 77, valid = 77;
    F(fill)(rows, classes, 2);
    F(leave_untouched)();
    EXPECT(F(xent_sigmoid_loss_init)(&l, sizeof l) == XENT_STATUS_OK);
    l.rows = rows;
    l.classes = classes;
    l.inner = layout.inner;
    l.logits_stride = layout.logits_stride;
    l.gradient_stride = layout.gradient_stride;
    l.logits = F(m).logits;
    if (kind == 0) {
        GIVE_LABELS(l, F(m));
    }
    l.dense = kind == 1 ? F(m).dense : NULL;
    l.class_weights = options & 1 ? F(m).class_weights : NULL;
    l.sample_weights = options & 2 ? F(m).sample_weights : NULL;
    l.label_smoothing = options & 4 ? 0.125 : 0.0;
    l.focal_gamma = (options & 32) && kind == 0 && !(options & 4) ? 2.0 : 0.0;
    l.has_focal_alpha = l.focal_gamma != 0.0 && (options & 1);
    l.focal_alpha = 0.25;
    l.has_ignore_index = (options & 8) && kind == 0;
    l.ignore_index = 0;
    l.positive_weights = options & 16 ? F(m).positive_weights : NULL;
    l.scale = options & 16 ? 3.0 : 1.0;
    l.reduction = (int32_t)(options % 3);
    l.mean_over = (int32_t)(options % 4);
    l.hessian_convention = (int32_t)((options + (unsigned)kind) % 3);
    expected = F(expected_sigmoid)(&l, &sums);

    l.gradient = F(m).gradient + 1;
    l.losses = F(m).losses + 1;
    /* With a negative weight it would be below the floor of its convention. */
    l.hessian = l.focal_gamma == 0.0 && !l.sample_weights ? F(m).hessian + 1 : NULL;
    l.valid_rows = &valid_rows;
    l.valid_elements = &valid;
    l.denominator = &denominator;
    if (l.reduction == XENT_REDUCTION_NONE) {
        EXPECT(F(xent_sigmoid_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    } else {
        EXPECT(F(xent_sigmoid_loss_run)(&l, &value, NULL) == XENT_STATUS_OK);
        EXPECT(is_near(value, expected, TOLERANCE));
    }
    F(expect_gradient)(rows, classes, layout);
    F(expect_near)(F(m).losses, F(m).expected_losses, rows * classes);
    F(expect_near)(F(m).hessian, F(m).expected_hessian, l.hessian ? rows * classes : 0);
    EXPECT(valid_rows == (size_t)sums.valid_rows && valid == (size_t)sums.valid_losses);
    EXPECT(is_near(denominator, F(divisor)(&sums, l.reduction, l.mean_over, sums.valid_losses),
                   TOLERANCE));

    l.losses = l.hessian = NULL;
    if (l.reduction != XENT_REDUCTION_NONE) {
        l.gradient = NULL;
        EXPECT(F(xent_sigmoid_loss_run)(&l, &again, NULL) == XENT_STATUS_OK);
        EXPECT(memcmp(&again, &value, sizeof value) == 0);
    }
    l.gradient = F(m).logits;
    l.gradient_stride = 0;
    EXPECT(F(xent_sigmoid_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK);
    EXPECT(F(is_same_in_place)(rows, classes, layout));
}

/* Rows that are not finite are counted, and the first of them is named. */
static void F(check_not_finite)(void)
{
    F(xent_softmax_loss) l;
    F(xent_sigmoid_loss) s;
    size_t count = 77, first = 77;
    F(fill)(6, 3, 2);
    F(xent_softmax_loss_init)(&l, sizeof l);
    EXPECT(l.not_finite_rows == NULL && l.first_not_finite == NULL);
    l.rows = 6;
    l.classes = 3;
    l.logits = F(m).logits;
    l.labels_i32 = F(m).labels;
    l.not_finite_rows = &count;
    l.first_not_finite = &first;
    EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK && count == 0 && first == 6);
    /* Row 1 has a masked class, rows 2, 4 and 5 have no softmax; that of row 2 is ignored. */
    F(m).logits[3] = -(REAL)INFINITY;
    F(m).logits[7] = (REAL)NAN;
    F(m).logits[12] = F(m).logits[13] = F(m).logits[14] = -(REAL)INFINITY;
    F(m).logits[17] = (REAL)INFINITY;
    F(m).labels[2] = -100;
    l.has_ignore_index = 1;
    l.ignore_index = -100;
    EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK && count == 2 && first == 4);
    l.first_not_finite = NULL;
    F(m).labels[2] = 0;
    EXPECT(F(xent_softmax_loss_run)(&l, NULL, NULL) == XENT_STATUS_OK && count == 3 && first == 4);

    /* Of elements, those without a loss: of row 1 and 4 what is masked is not a target. */
    F(xent_sigmoid_loss_init)(&s, sizeof s);
    EXPECT(s.not_finite_rows == NULL && s.first_not_finite == NULL);
    s.rows = 6;
    s.classes = 3;
    s.logits = F(m).logits;
    s.labels_u16 = F(m).u16;
    F(m).u16[3] = F(m).u16[12] = F(m).u16[13] = F(m).u16[14] = F(m).u16[17] = 0;
    s.not_finite_rows = &count;
    s.first_not_finite = &first;
    EXPECT(F(xent_sigmoid_loss_run)(&s, NULL, NULL) == XENT_STATUS_OK && count == 2 && first == 2);
    F(m).u16[13] = 1;
    EXPECT(F(xent_sigmoid_loss_run)(&s, NULL, NULL) == XENT_STATUS_OK && count == 3 && first == 2);
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

    /* Zero rows need no memory. */
    F(xent_softmax_loss_init)(&l, sizeof l);
    l.classes = 3;
    EXPECT(F(xent_softmax_loss_run)(&l, &value, NULL) == XENT_STATUS_OK && value == 0.0);
}

/* A call that must be refused without writing anything. */
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
    /* From a later version of the header: an option after the known ones. */
    struct { F(xent_softmax_loss) known; int64_t option; } later;
    F(xent_softmax_loss) good, l;
    REAL bad_weights[3] = {1, (REAL)-1.0, 1};
    static const int32_t ones[24] = {1, 1, 1};
    double value = -1.0;
    size_t count = 77;
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
    l = good; l.class_weights = bad_weights; F(expect_refused)(&l, XENT_STATUS_CLASS_WEIGHTS, 1);
    l = good; l.inner = 3; F(expect_refused)(&l, XENT_STATUS_INNER, 77);
    l = good; l.logits_stride = 2; F(expect_refused)(&l, XENT_STATUS_STRIDE, 77);
    l = good; l.gradient_stride = 2; F(expect_refused)(&l, XENT_STATUS_STRIDE, 77);
    l = good; l.inner = 2; l.logits_stride = 5; F(expect_refused)(&l, XENT_STATUS_STRIDE, 77);
    l = good; l.gradient = F(m).logits; l.logits_stride = 4; l.gradient_stride = 3;
    F(expect_refused)(&l, XENT_STATUS_STRIDE, 77);
    l = good; l.logits_stride = SIZE_MAX; F(expect_refused)(&l, XENT_STATUS_TOO_LARGE, 77);
    l = good; l.logits_16 = F(m).u16; F(expect_refused)(&l, XENT_STATUS_FORMAT, 77);
    l = good; l.gradient_16 = F(m).u16; F(expect_refused)(&l, XENT_STATUS_FORMAT, 77);
    l = good; l.labels_i64 = F(m).i64; F(expect_refused)(&l, XENT_STATUS_TARGETS, 77);
    l = good; l.labels_i32 = NULL;
    l.labels_i64 = (const int64_t *)(const void *)((const char *)F(m).i64 + 1);
    F(expect_refused)(&l, XENT_STATUS_ALIGNMENT, 77);
    l = good; l.correct = &count; F(expect_refused)(&l, XENT_STATUS_CORRECT, 77);
    l = good; l.labels_i32 = NULL; l.dense = F(m).dense; l.correct = &count; l.predicted = F(m).predicted;
    F(expect_refused)(&l, XENT_STATUS_CORRECT, 77);
    l = good; l.focal_gamma = -1.0; F(expect_refused)(&l, XENT_STATUS_FOCAL, 77);
    l = good; l.focal_gamma = 1.0; l.label_smoothing = 0.1; F(expect_refused)(&l, XENT_STATUS_FOCAL, 77);
    l = good; l.hessian_convention = 3; F(expect_refused)(&l, XENT_STATUS_CHOICE, 77);
    l = good; l.rows = 12; l.classes = 1; l.hessian = F(m).hessian; l.labels_i32 = ones + 12;
    l.hessian_convention = XENT_HESSIAN_LIGHTGBM; F(expect_refused)(&l, XENT_STATUS_HESSIAN, 77);
    l = good; l.hessian = F(m).gradient + 11; F(expect_refused)(&l, XENT_STATUS_OVERLAP, 77);
    l = good; l.log_sum_exp = F(m).losses; F(expect_refused)(&l, XENT_STATUS_OVERLAP, 77);
    /* All values are checked before anything is written. */
    l = good; l.labels_i32 = NULL; l.dense = F(m).dense; F(m).dense[7] = (REAL)-0.5;
    F(expect_refused)(&l, XENT_STATUS_SOFTMAX_TARGETS, 7);
    F(m).dense[7] = (REAL)NAN; F(expect_refused)(&l, XENT_STATUS_SOFTMAX_TARGETS, 7);
    l.dense = NULL; l.multi_label = F(m).dense;
    F(expect_refused)(&l, XENT_STATUS_SOFTMAX_TARGETS, 7);
    F(m).dense[7] = (REAL)INFINITY; F(expect_refused)(&l, XENT_STATUS_SOFTMAX_TARGETS, 7);
    F(m).dense[7] = 0;
    l = good; l.sample_weights = F(m).sample_weights; F(m).sample_weights[3] = (REAL)NAN;
    F(expect_refused)(&l, XENT_STATUS_SAMPLE_WEIGHTS, 3);
    F(m).sample_weights[3] = (REAL)-INFINITY; F(expect_refused)(&l, XENT_STATUS_SAMPLE_WEIGHTS, 3);
    F(m).sample_weights[3] = 1;
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
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_POSITIVE_WEIGHTS && place == 1);
    place = 77;
    l.positive_weights = F(m).gradient + 6;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_OVERLAP);
    l.positive_weights = NULL;
    l.class_weights = bad_weights;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_CLASS_WEIGHTS && place == 1);
    l.class_weights = NULL;
    place = 77;
    l.focal_gamma = NAN;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_FOCAL);
    l.focal_gamma = 0.0;
    l.has_focal_alpha = 1;
    l.focal_alpha = 1.5;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_FOCAL);
    l.has_focal_alpha = 0;
    l.inner = 3;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_INNER);
    l.inner = 0;
    l.logits_16 = F(m).u16;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_FORMAT);
    l.logits_16 = NULL;
    EXPECT(place == 77);
    l.labels_u32 = NULL;
    l.dense = F(m).dense;
    F(m).dense[11] = 255;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_UNIT_TARGETS && place == 11);
    F(m).dense[11] = -1;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_UNIT_TARGETS && place == 11);
    F(m).dense[11] = 1;
    l.sample_weights = F(m).sample_weights;
    F(m).sample_weights[2] = (REAL)INFINITY;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_SAMPLE_WEIGHTS && place == 2);
    l.sample_weights = NULL;
    l.dense = NULL;
    l.labels_u32 = F(m).unsigned_labels;
    F(m).unsigned_labels[10] = 2;
    EXPECT(F(xent_sigmoid_loss_run)(&l, &value, &place) == XENT_STATUS_LABEL && place == 10 / 3);
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
        for (options = 0; options < 64; options++) {
            for (kind = 0; kind < 3; kind++) {
                F(check_softmax)(shapes[shape][0], shapes[shape][1], kind, options);
            }
            for (kind = 0; kind < 2; kind++) {
                F(check_sigmoid)(shapes[shape][0], shapes[shape][1], kind, options);
            }
        }
        F(check_slices)(shapes[shape][1]);
    }
    F(check_not_finite)();
    F(check_nothing)();
    F(check_refused_softmax)();
    F(check_refused_sigmoid)();
}
