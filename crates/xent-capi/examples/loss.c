/* The mean loss of two rows of three logits, each in the middle of five numbers, and its gradient. */
#include <stdio.h>
#include <xent.h>

int main(void)
{
    const float table[] = {9, 2, 1, 0, 9, /* second row */ 9, 0, 3, 0, 9};
    const int64_t labels[] = {0, 1};
    float gradient[6];
    uint32_t predicted[2];
    size_t correct, i;
    double value;
    xent_softmax_loss_f32 loss;
    xent_status status;

    xent_softmax_loss_init_f32(&loss, sizeof loss);
    loss.rows = 2;
    loss.classes = 3;
    loss.logits = table + 1;
    loss.logits_stride = 5;
    loss.labels_i64 = labels;
    loss.gradient = gradient;
    loss.predicted = predicted;
    loss.correct = &correct;
    status = xent_softmax_loss_run_f32(&loss, &value, NULL);
    if (status != XENT_STATUS_OK) {
        fprintf(stderr, "%s\n", xent_error_message(status));
        return 1;
    }
    printf("loss %.6f\ncorrect %zu of %zu\ngradient", value, correct, loss.rows);
    for (i = 0; i < 6; i++) {
        printf(" %.6f", gradient[i]);
    }
    printf("\n");
    return 0;
}
