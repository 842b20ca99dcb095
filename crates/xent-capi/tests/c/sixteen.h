/*
 * 16-bit logits: the results are those of the same numbers as floats, and a 16-bit gradient is the nearest number
 * to the float's. The conversions here work by frexp, not on bits, for any format with the given number of digits.
 */

typedef struct sixteen {
    int digits, least, bias;
    xent_status (*softmax)(const xent_softmax_loss_f32 *, double *, size_t *);
    xent_status (*sigmoid)(const xent_sigmoid_loss_f32 *, double *, size_t *);
} sixteen;

static const sixteen BF16 = {8, -126, 127, xent_softmax_loss_run_bf16,
                             xent_sigmoid_loss_run_bf16};
static const sixteen F16 = {11, -14, 15, xent_softmax_loss_run_f16,
                            xent_sigmoid_loss_run_f16};

/* The bits of the nearest number of a format, ties to even. */
static uint16_t to_sixteen(const sixteen *format, double x)
{
    int exponent, fraction_bits = format->digits - 1;
    double unit, steps;
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    frexp(x, &exponent);
    exponent = exponent - 1 < format->least || x == 0.0 ? format->least : exponent - 1;
    unit = ldexp(1.0, exponent - fraction_bits);
    /* Ties go to the even number, as in the default rounding mode. */
    steps = nearbyint(fabs(x) / unit);
    /* A carry goes into the exponent by itself; subnormal numbers have no implied digit. */
    return (uint16_t)(sign
        + (uint16_t)((uint32_t)(exponent + format->bias - 1) << fraction_bits)
        + (uint16_t)steps);
}

static double from_sixteen(const sixteen *format, uint16_t bits)
{
    int fraction_bits = format->digits - 1, exponent = (bits & 0x7fff) >> fraction_bits;
    double fraction = bits & ((1 << fraction_bits) - 1);
    double x = exponent == 0 ? ldexp(fraction, format->least - fraction_bits)
        : ldexp(fraction + ldexp(1.0, fraction_bits), exponent - format->bias - fraction_bits);
    return bits & 0x8000 ? -x : x;
}

enum { SIXTEEN_MOST = 24 * 40 };

/* 24 rows with gaps, also with a class axis that is not the last. */
static void check_sixteen_format(const sixteen *format, size_t classes, size_t inner)
{
    static uint16_t logits[SIXTEEN_MOST], gradient[SIXTEEN_MOST];
    static float floats[SIXTEEN_MOST], wide[SIXTEEN_MOST], expected[SIXTEEN_MOST];
    static int16_t labels[24];
    static uint8_t hot[SIXTEEN_MOST];
    xent_softmax_loss_f32 l;
    xent_sigmoid_loss_f32 s;
    double value, other;
    size_t i, rows = 24, stride = classes * inner + 1, most = rows / inner * stride - 1;
    unsigned long wrong = 0;
    int loss;
    for (i = 0; i < most; i++) {
        logits[i] = to_sixteen(format, 12.0 * next_number() - 6.0);
        floats[i] = (float)from_sixteen(format, logits[i]);
        hot[i] = (uint8_t)next_below(2);
        wrong += to_sixteen(format, floats[i]) != logits[i];
    }
    EXPECT(wrong == 0);
    for (i = 0; i < rows; i++) {
        labels[i] = (int16_t)next_below(classes);
    }
    xent_softmax_loss_init_f32(&l, sizeof l);
    xent_sigmoid_loss_init_f32(&s, sizeof s);
    l.rows = s.rows = rows;
    l.classes = s.classes = classes;
    l.inner = s.inner = inner;
    l.logits_stride = l.gradient_stride = s.logits_stride = s.gradient_stride = stride;
    l.labels_i16 = labels;
    s.labels_u8 = hot;
    for (loss = 0; loss < 2; loss++) {
        memset(expected, 0, sizeof expected);
        memset(wide, 0, sizeof wide);
        memset(gradient, 0, sizeof gradient);
        l.logits = s.logits = floats;
        l.logits_16 = s.logits_16 = NULL;
        l.gradient = s.gradient = expected;
        l.gradient_16 = s.gradient_16 = NULL;
        EXPECT((loss ? xent_sigmoid_loss_run_f32(&s, &value, NULL)
                     : xent_softmax_loss_run_f32(&l, &value, NULL)) == XENT_STATUS_OK);
        EXPECT((loss ? format->sigmoid(&s, NULL, NULL) : format->softmax(&l, NULL, NULL))
               == XENT_STATUS_FORMAT);
        l.logits = s.logits = NULL;
        EXPECT((loss ? format->sigmoid(&s, NULL, NULL) : format->softmax(&l, NULL, NULL))
               == XENT_STATUS_NULL);
        l.logits_16 = s.logits_16 = logits;

        /* Not rounded. */
        l.gradient = s.gradient = wide;
        EXPECT((loss ? format->sigmoid(&s, &other, NULL) : format->softmax(&l, &other, NULL))
               == XENT_STATUS_OK);
        EXPECT(memcmp(&value, &other, sizeof value) == 0 && memcmp(wide, expected, sizeof wide) == 0);
        /* Only one of them may be given. */
        l.gradient_16 = s.gradient_16 = gradient;
        EXPECT((loss ? format->sigmoid(&s, NULL, NULL) : format->softmax(&l, NULL, NULL))
               == XENT_STATUS_FORMAT);
        /* Rounded once; then in place. */
        l.gradient = s.gradient = NULL;
        EXPECT((loss ? format->sigmoid(&s, &other, NULL) : format->softmax(&l, &other, NULL))
               == XENT_STATUS_OK);
        EXPECT(memcmp(&value, &other, sizeof value) == 0);
        for (i = 0; i < most; i++) {
            wrong += from_sixteen(format, gradient[i]) != from_sixteen(format, to_sixteen(format, wide[i]));
        }
        EXPECT(wrong == 0);
    }
    l.gradient_16 = logits;
    memset(gradient, 0, sizeof gradient);
    for (i = 0; i < most; i++) {
        gradient[i] = logits[i];
    }
    EXPECT(format->softmax(&l, &other, NULL) == XENT_STATUS_OK);
    /* The gaps between the rows are unchanged. */
    for (i = classes * inner; i < most; i += stride) {
        EXPECT(logits[i] == gradient[i]);
    }
    l.logits = NULL;
    l.logits_16 = logits;
    l.gradient_16 = logits + 1;
    EXPECT(format->softmax(&l, NULL, NULL) == XENT_STATUS_OVERLAP);
}

static void check_sixteen(void)
{
    static const size_t shapes[][2] = {{3, 1}, {33, 1}, {10, 6}, {37, 8}};
    size_t shape;
    for (shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++) {
        check_sixteen_format(&BF16, shapes[shape][0], shapes[shape][1]);
        check_sixteen_format(&F16, shapes[shape][0], shapes[shape][1]);
    }
}
