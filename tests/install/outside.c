/* A program outside the tree: is what `make install` leaves enough to compile, link and run? */
#include <cupel/cupel.h>
#include <stdio.h>

int main(void) {
    cupel_context *context = NULL;
    cupel_status status = cupel_context_create(&context, NULL);
    if (status != CUPEL_STATUS_OK) {
        fprintf(stderr, "cupel_context_create: %s\n", cupel_status_text(status));
        return 1;
    }
    printf("outside program: device %s\n", cupel_context_device(context));
    return cupel_context_destroy(context) == CUPEL_STATUS_OK ? 0 : 1;
}
