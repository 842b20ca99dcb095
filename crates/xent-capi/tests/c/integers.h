/*
 * Logits that are integers with a scale and a zero point: the losses and the gradient are those of the floats that
 * they stand for. The product is computed in double, where it is exact, and rounded once.
 */

enum { INTEGER_ROWS = 24, INTEGER_CLASSES = 10, INTEGERS = INTEGER_ROWS * INTEGER_CLASSES };

static void check_integers_of(xent_status (*run)(const xent_softmax_loss_f32 *, double *, size_t *),
                              const void *logits, const float *floats, float scale, int32_t zero_point)
{
    static float gradient[INTEGERS], expected[INTEGERS];
    float losses[INTEGER_ROWS], expected_losses[INTEGER_ROWS];
    uint8_t labels[INTEGER_ROWS];
    xent_softmax_loss_f32 l;
    size_t i;
    for (i = 0; i < INTEGER_ROWS; i++) {
        labels[i] = (uint8_t)(i * 7 % INTEGER_CLASSES);
    }
    EXPECT(xent_softmax_loss_init_f32(&l, sizeof l) == XENT_STATUS_OK);
    l.rows = INTEGER_ROWS;
    l.classes = INTEGER_CLASSES;
    l.labels_u8 = labels;
    l.logits = floats;
    l.gradient = expected;
    l.losses = expected_losses;
    EXPECT(xent_softmax_loss_run_f32(&l, NULL, NULL) == XENT_STATUS_OK);

    for (i = 0; i < INTEGERS; i++) {
        gradient[i] = 7.0f;
    }
    l.gradient = gradient;
    l.losses = losses;
    l.logits_integers = logits;
    l.logits_scale = scale;
    l.logits_zero_point = zero_point;
    /* Both kinds of logits. */
    EXPECT(run(&l, NULL, NULL) == XENT_STATUS_FORMAT);
    l.logits = NULL;
    l.logits_scale = 0.0f;
    EXPECT(run(&l, NULL, NULL) == XENT_STATUS_QUANTISATION);
    l.logits_scale = scale;
    l.logits_zero_point = 70000;
    EXPECT(run(&l, NULL, NULL) == XENT_STATUS_QUANTISATION);
    for (i = 0; i < INTEGERS; i++) {
        EXPECT(gradient[i] == 7.0f);
    }
    l.logits_zero_point = zero_point;
    EXPECT(run(&l, NULL, NULL) == XENT_STATUS_OK);
    EXPECT(memcmp(gradient, expected, sizeof gradient) == 0);
    EXPECT(memcmp(losses, expected_losses, sizeof losses) == 0);
}

static void check_integers(void)
{
    static int8_t bytes[INTEGERS];
    static uint8_t positive[INTEGERS];
    static int16_t wide[INTEGERS];
    static float floats[INTEGERS];
    const float scale = 0.15f;
    float loss = 7.0f;
    size_t i, predicted = 77;
    for (i = 0; i < INTEGERS; i++) {
        int number = (int)(255.0 * next_number()) - 127;
        bytes[i] = (int8_t)number;
        positive[i] = (uint8_t)(number + 127);
        wide[i] = (int16_t)(100 * number);
    }
    for (i = 0; i < INTEGERS; i++) {
        floats[i] = (float)((double)(wide[i] + 5) * (double)(scale / 100));
    }
    check_integers_of(xent_softmax_loss_run_i16, wide, floats, scale / 100, -5);
    for (i = 0; i < INTEGERS; i++) {
        floats[i] = (float)((double)(positive[i] - 130) * (double)scale);
    }
    check_integers_of(xent_softmax_loss_run_u8, positive, floats, scale, 130);
    for (i = 0; i < INTEGERS; i++) {
        floats[i] = (float)((double)(bytes[i] + 3) * (double)scale);
    }
    check_integers_of(xent_softmax_loss_run_i8, bytes, floats, scale, -3);

    EXPECT(xent_evaluate_row_i8(bytes, 33, scale, -3, 1, &loss, &predicted) == XENT_STATUS_CLASSES);
    EXPECT(xent_evaluate_row_i8(bytes, 10, scale, -3, 10, &loss, &predicted) == XENT_STATUS_LABEL);
    EXPECT(xent_evaluate_row_i8(bytes, 10, -scale, -3, 1, &loss, &predicted)
           == XENT_STATUS_QUANTISATION);
    EXPECT(loss == 7.0f && predicted == 77);
    for (i = 0; i < INTEGER_ROWS; i++) {
        const int8_t *row = bytes + i * INTEGER_CLASSES;
        const float *x = floats + i * INTEGER_CLASSES;
        double sum = 0.0, wanted;
        size_t c, largest = 0;
        EXPECT(xent_evaluate_row_i8(row, INTEGER_CLASSES, scale, -3, 2, &loss, &predicted)
               == XENT_STATUS_OK);
        for (c = 0; c < INTEGER_CLASSES; c++) {
            sum += exp((double)x[c]);
            largest = x[c] > x[largest] ? c : largest;
        }
        wanted = log(sum) - (double)x[2];
        EXPECT(predicted == largest);
        EXPECT(fabs((double)loss - wanted) <= 1e-5 * (1.0 + wanted));
    }
}
