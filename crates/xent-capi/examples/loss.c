/* The mean loss of two rows of three logits, and its gradient. */
#include <stdio.h>
#include <xent.h>

int main(void)
{
    const float logits[] = {2, 1, 0, /* second row */ 0, 3, 0};
    const int32_t labels[] = {0, 1};
    float gradient[6];
    double value;
    size_t i;
    xent_softmax_loss_f32 loss;
    xent_status status;

    xent_softmax_loss_init_f32(&loss, sizeof loss);
    loss.rows = 2;
    loss.classes = 3;
    loss.logits = logits;
    loss.labels_i32 = labels;
    loss.gradient = gradient;
    status = xent_softmax_loss_run_f32(&loss, &value, NULL);
    if (status != XENT_STATUS_OK) {
        fprintf(stderr, "%s\n", xent_error_message(status));
        return 1;
    }
    printf("loss %.6f\ngradient", value);
    for (i = 0; i < 6; i++) {
        printf(" %.6f", gradient[i]);
    }
    printf("\n");
    return 0;
}
