/*
 * Memory refused: building, differentiating, sealing, compiling, binding and running a small
 * variational autoencoder's step, with each allocation failing once, and with it and all after it
 * failing. Each time an error is told at the call that failed, nothing leaks, and nothing is
 * called a success that is not.
 */
#include "support/drill.h"
#include "support/forms.h"

#include <cupel/models.h>
#include <cupel/plan.h>

#include "graph/context_internal.h"

enum { BATCH = 2, SIDE = 8, LATENTS = 2 };

struct setting {
    const char *device;
    bool reference;
    bool plan;
    double loss; /* of the first run, from a life in which all memory was there */
};

/* A convolutional encoder, a sample, a dense decoder, Adam, and the guard of the loss. */
static cupel_node build_step(cupel_graph *graph) {
    const cupel_node x =
        cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(BATCH, 1, SIDE, SIDE));
    const cupel_rng rng = cupel_rng_inputs(graph, BATCH);
    cupel_graph_enter(graph, "encoder");
    cupel_node h = cupel_relu(
        cupel_layer_conv2d(x, "conv", 4, 3, &(cupel_conv_options){.stride = {2, 2}}, NULL));
    h = cupel_relu(cupel_layer_batch_norm(h, "bn", true, .1, 1e-5));
    h = cupel_reshape(h, CUPEL_SHAPE(BATCH, -1));
    const cupel_node mean = cupel_layer_dense(h, "mean", LATENTS, NULL);
    const cupel_node log_variance = cupel_layer_dense(h, "log_variance", LATENTS, NULL);
    const cupel_node noise = cupel_sample_normal(rng, "noise", CUPEL_SHAPE(BATCH, LATENTS));
    cupel_graph_leave(graph);
    const cupel_node z =
        cupel_add(mean, cupel_mul(cupel_exp(cupel_scale(log_variance, .5)), noise));
    cupel_node y = cupel_layer_dense(z, "decoder", SIDE * SIDE, NULL);
    y = cupel_sigmoid(cupel_reshape(y, CUPEL_SHAPE(BATCH, 1, SIDE, SIDE)));
    const cupel_node error = cupel_reduce_sum(cupel_squared_error(y, x), CUPEL_ALL_AXES, false);
    const cupel_node kl =
        cupel_reduce_sum(cupel_gaussian_kl(mean, log_variance), CUPEL_ALL_AXES, false);
    const cupel_node loss = cupel_scale(cupel_add(error, kl), 1. / BATCH);
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM);
    const cupel_node rate = cupel_input(graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_optimizer_minimize(graph, "adam", &adam, rate, loss, "");
    return cupel_named(loss, "loss");
}

static cupel_status write_inputs(cupel_bindings *bindings) {
    float x[BATCH * SIDE * SIDE];
    const uint64_t rows[BATCH] = {0, 1};
    for (int i = 0; i < BATCH * SIDE * SIDE; i++)
        x[i] = (float)(i % 7) / 7.0f;
    cupel_status status = cupel_bindings_write(bindings, "x", x, sizeof x);
    if (status == CUPEL_STATUS_OK)
        status = cupel_bindings_write(bindings, "rows", rows, sizeof rows);
    if (status == CUPEL_STATUS_OK)
        status = cupel_bindings_write_u64(bindings, "seed", 1);
    if (status == CUPEL_STATUS_OK)
        status = cupel_bindings_write_u64(bindings, "step", 0);
    return status == CUPEL_STATUS_OK ? cupel_bindings_write_scalar(bindings, "rate", .01) : status;
}

struct life {
    cupel_context *context;
    cupel_parameters *parameters;
    cupel_graph *graph;
    cupel_plan *plan;
    cupel_program *program;
    cupel_workspace *workspace;
    cupel_bindings *bindings;
    cupel_tensors *tensors;
};

#define STEP(call) \
    do { \
        const cupel_status step_ = (call); \
        if (step_ != CUPEL_STATUS_OK) \
            return step_; \
    } while (0)

static cupel_status live(struct life *life, const struct setting *setting, double *loss) {
    if (strcmp(setting->device, "forms") == 0) {
        struct backend *const backend = forms_try_create();
        if (backend == NULL)
            return CUPEL_STATUS_OUT_OF_MEMORY;
        STEP(context_create_with_backend(&life->context, backend, NULL));
    } else {
        STEP(cupel_context_create(&life->context,
                                  &(cupel_context_options){.device = setting->device}));
    }
    STEP(cupel_parameters_create(&life->parameters, life->context, CUPEL_TYPE_F32, 3));
    STEP(cupel_graph_create(&life->graph, life->context, life->parameters));
    if (setting->plan)
        STEP(cupel_plan_create(&life->plan, life->context, 1));
    const cupel_output output = {"loss!", build_step(life->graph)};
    STEP(cupel_graph_check(life->graph));
    const cupel_compile_options options = {.name = "step",
                                           .outputs = &output,
                                           .n_outputs = 1,
                                           .reference = setting->reference,
                                           .plan = life->plan};
    STEP(cupel_program_compile(&life->program, life->graph, &options));
    STEP(cupel_workspace_create(&life->workspace, life->context));
    STEP(cupel_workspace_reserve(life->workspace, life->program));
    STEP(cupel_bindings_create(&life->bindings, life->program));
    STEP(write_inputs(life->bindings));
    STEP(cupel_program_run(life->program, life->bindings, life->workspace, NULL));
    STEP(cupel_bindings_read_scalar(life->bindings, "loss!", loss));
    STEP(cupel_tensors_create(&life->tensors));
    STEP(cupel_parameters_export(life->parameters, life->tensors, "", false));
    STEP(cupel_parameters_import(life->parameters, life->tensors, "", false));
    return cupel_parameters_check_finite(life->parameters);
}

/* All in the usual order, whatever was reached. */
static void die(struct life *life) {
    cupel_tensors_destroy(life->tensors);
    CHECK_OK(cupel_bindings_destroy(life->bindings));
    CHECK_OK(cupel_workspace_destroy(life->workspace));
    CHECK_OK(cupel_program_destroy(life->program));
    cupel_plan_destroy(life->plan);
    CHECK_OK(cupel_graph_destroy(life->graph));
    CHECK_OK(cupel_parameters_destroy(life->parameters));
    CHECK_OK(cupel_context_destroy(life->context));
}

static cupel_status body(void *user) {
    const struct setting *const setting = user;
    struct life life = {0};
    double loss = 0;
    const cupel_status status = live(&life, setting, &loss);
    if (status == CUPEL_STATUS_OK)
        CHECK_F64(loss, setting->loss); /* never a success with a wrong result */
    else
        CHECK_I64(status, CUPEL_STATUS_OUT_OF_MEMORY);
    die(&life);
    return status;
}

static void drill_setting(struct setting setting) {
    struct life life = {0};
    CHECK_OK(live(&life, &setting, &setting.loss));
    die(&life);
    CHECK(setting.loss > 1 && setting.loss < 100);
    const uint64_t drills = drill_memory(body, &setting);
    print_message("%s%s%s: %" PRIu64 " refusals\n", setting.device,
                  setting.reference ? ", reference program" : "",
                  setting.plan ? ", with a plan" : "", drills);
    CHECK(drills > 200);
}

static void a_step_on_the_reference(void **state) {
    (void)state;
    drill_setting((struct setting){.device = "reference"});
}

static void a_reference_program(void **state) {
    (void)state;
    drill_setting((struct setting){.device = "reference", .reference = true});
}

static void a_step_with_packs_and_a_plan(void **state) {
    (void)state;
    drill_setting((struct setting){.device = "forms", .plan = true});
}

static void a_step_on_the_cpu(void **state) {
    (void)state;
    drill_setting((struct setting){.device = "cpu", .plan = true});
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_on_the_reference),
        cmocka_unit_test(a_reference_program),
        cmocka_unit_test(a_step_with_packs_and_a_plan),
        cmocka_unit_test(a_step_on_the_cpu),
    };
    return CHECK_MAIN(tests);
}
