/*
 * From a recipe to compiled programs. The graphs of training and of scoring are built by one
 * function each, for any batch and for the reference mode as well, so that there is one definition
 * of what is trained and one of what a score is. Test: tests/test_trainer.c
 */
#include "train/network.h"

#include <string.h>

#include "base/parallel.h"

/* --- the recipe --- */

static cupel_status copy_error(struct cupel_error *error, cupel_status status,
                               const char *sentence) {
    return status == CUPEL_STATUS_OK ? status : cupel_fail(error, status, "%s", sentence);
}

/* Lists that the schema allows and the models do not take yet. */
static cupel_status check_widths(cupel_recipe *recipe, struct network *out,
                                 struct cupel_error *error) {
    static const int64_t filters[] = {32, 64, 128};
    const int64_t *list;
    size_t count;
    if (out->vae.kind == CUPEL_VAE_CONV) {
        CUPEL_TRY(cupel_recipe_get_ints(recipe, "model.filters", &list, &count));
        if (count != 3 || memcmp(list, filters, sizeof filters) != 0)
            return cupel_fail(
                error, CUPEL_STATUS_UNSUPPORTED,
                "%s: model.filters: conv-vae is built with [32, 64, 128] only; remove "
                "the key",
                cupel_recipe_origin(recipe, "model.filters"));
        return CUPEL_STATUS_OK;
    }
    CUPEL_TRY(cupel_recipe_get_ints(recipe, "model.hidden", &list, &count));
    if (count != 1)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                          "%s: model.hidden: mlp-vae is built with one hidden layer, not %zu",
                          cupel_recipe_origin(recipe, "model.hidden"), count);
    out->vae.hidden = list[0];
    return CUPEL_STATUS_OK;
}

static cupel_status read_model(cupel_recipe *recipe, struct network *out,
                               struct cupel_error *error) {
    const char *text;
    CUPEL_TRY(cupel_recipe_get_string(recipe, "model.name", &text));
    if (strcmp(text, "conv-vae") != 0 && strcmp(text, "mlp-vae") != 0)
        return cupel_fail(error, CUPEL_STATUS_BUG, "model.name: %s is listed and never built",
                          text);
    out->vae.kind = strcmp(text, "mlp-vae") == 0 ? CUPEL_VAE_MLP : CUPEL_VAE_CONV;
    CUPEL_TRY(cupel_recipe_get_int(recipe, "model.latent", &out->vae.latents));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "model.image", &out->image));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "model.channels", &out->channels));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "data.pad", &out->pad));
    CUPEL_TRY(check_widths(recipe, out, error));
    const char *const wanted = out->vae.kind == CUPEL_VAE_CONV ? "squared-error" : "bernoulli";
    CUPEL_TRY(cupel_recipe_get_string(recipe, "loss.reconstruction", &text));
    if (strcmp(text, wanted) != 0)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                          "%s: loss.reconstruction: %s is trained with %s, not %s",
                          cupel_recipe_origin(recipe, "loss.reconstruction"),
                          out->vae.kind == CUPEL_VAE_CONV ? "conv-vae" : "mlp-vae", wanted, text);
    if (out->vae.kind == CUPEL_VAE_CONV && out->image < 7)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s: model.image: conv-vae needs at least 7 pixels, not %lld",
                          cupel_recipe_origin(recipe, "model.image"), (long long)out->image);
    return cupel_recipe_get_float(recipe, "loss.kl_weight", &out->kl_weight);
}

static cupel_status read_training(cupel_recipe *recipe, struct network *out) {
    const char *text;
    CUPEL_TRY(cupel_recipe_get_string(recipe, "train.optimizer", &text));
    const cupel_optimizer_kind kind = strcmp(text, "sgd") == 0     ? CUPEL_SGD
                                      : strcmp(text, "adamw") == 0 ? CUPEL_ADAMW
                                                                   : CUPEL_ADAM;
    out->optimizer = cupel_optimizer_defaults(kind);
    CUPEL_TRY(cupel_recipe_get_float(recipe, "train.weight_decay", &out->optimizer.weight_decay));
    if (kind == CUPEL_SGD)
        CUPEL_TRY(cupel_recipe_get_float(recipe, "train.momentum", &out->optimizer.momentum));
    CUPEL_TRY(cupel_recipe_get_float(recipe, "train.learning_rate", &out->learning_rate));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "train.warmup_steps", &out->warmup_steps));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "train.epochs", &out->epochs));
    return cupel_recipe_get_int(recipe, "train.batch", &out->batch);
}

static cupel_status read_all(struct network *out, cupel_recipe *recipe, struct cupel_error *error) {
    int64_t whole;
    const char *text;
    CUPEL_TRY(cupel_recipe_check(recipe));
    CUPEL_TRY(cupel_recipe_get_int(recipe, "seed", &whole));
    out->seed = (uint64_t)whole;
    CUPEL_TRY(cupel_recipe_get_int(recipe, "threads", &whole));
    out->threads = whole == 0 ? parallel_processors() : (int)whole;
    CUPEL_TRY(cupel_recipe_get_string(recipe, "precision", &text));
    out->real = strcmp(text, "bf16") == 0 ? CUPEL_TYPE_BF16 : CUPEL_TYPE_F32;
    CUPEL_TRY(cupel_recipe_get_string(recipe, "plan", &text));
    out->method = strcmp(text, "measure") == 0 ? CUPEL_PLAN_MEASURE : CUPEL_PLAN_ESTIMATE;
    CUPEL_TRY(cupel_recipe_get_string(recipe, "winograd", &text));
    out->no_winograd = strcmp(text, "forbid") == 0;
    CUPEL_TRY(cupel_recipe_get_int(recipe, "score.samples", &out->samples));
    CUPEL_TRY(cupel_recipe_get_float(recipe, "score.threshold_quantile", &out->quantile));
    CUPEL_TRY(read_training(recipe, out));
    return read_model(recipe, out, error);
}

cupel_status network_from_recipe(struct network *out, cupel_recipe *recipe,
                                 struct cupel_error *error) {
    *out = (struct network){0};
    cupel_error_clear(error);
    const cupel_status status = read_all(out, recipe, error);
    if (error->text[0] != '\0')
        return status;
    return copy_error(error, status, cupel_recipe_error(recipe));
}

/* --- the graphs --- */

static cupel_node images_input(cupel_graph *graph, const struct network *network, int64_t batch) {
    return cupel_input(graph, "images", CUPEL_TYPE_REAL,
                       CUPEL_SHAPE(batch, network->channels, network->image, network->image));
}

/* The sum grows by `scale * term`, in f64: an epoch adds a million numbers. */
static void accumulate(cupel_graph *graph, const char *name, double scale, cupel_node term) {
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node sum =
        cupel_training_state(graph, name, CUPEL_TYPE_F64, cupel_shape_scalar(), zeros);
    cupel_assign(sum, cupel_add(sum, cupel_scale(cupel_cast(term, CUPEL_TYPE_F64), scale)));
}

cupel_node network_train_graph(cupel_graph *graph, const struct network *network, int64_t batch) {
    const cupel_node images = images_input(graph, network, batch);
    const cupel_rng rng = cupel_rng_inputs(graph, batch);
    const cupel_shape scalar = cupel_shape_scalar();
    const cupel_node learning_rate = cupel_input(graph, "learning_rate", CUPEL_TYPE_REAL, scalar);
    const cupel_node kl_weight = cupel_input(graph, "kl_weight", CUPEL_TYPE_REAL, scalar);
    const cupel_vae vae = cupel_vae_build(images, &network->vae, rng);
    const cupel_node loss = cupel_named(cupel_vae_loss(&vae, kl_weight), "loss");
    accumulate(graph, SUM_LOSS, (double)batch, loss);
    accumulate(graph, SUM_ERROR, 1, cupel_reduce_sum(vae.error, CUPEL_ALL_AXES, false));
    accumulate(graph, SUM_KL, 1, cupel_reduce_sum(vae.kl, CUPEL_ALL_AXES, false));
    cupel_optimizer_minimize(graph, "optimizer", &network->optimizer, learning_rate, loss, "");
    return loss;
}

cupel_vae network_score_graph(cupel_graph *graph, const struct network *network, int64_t batch) {
    const cupel_node images = images_input(graph, network, batch);
    return cupel_vae_build(images, &network->vae, cupel_rng_inputs(graph, batch));
}

static cupel_status match(cupel_graph *graph, cupel_parameters *parameters,
                          const struct network *network, const cupel_tensors *tensors,
                          bool training, struct cupel_error *error) {
    if (training)
        (void)network_train_graph(graph, network, network->batch);
    else
        (void)network_score_graph(graph, network, SCORE_BATCH);
    cupel_status status = cupel_graph_check(graph);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_graph_error(graph));
    status = cupel_parameters_match(parameters, tensors, "", !training);
    return copy_error(error, status, cupel_parameters_error(parameters));
}

cupel_status network_check_tensors(const struct network *network, cupel_context *context,
                                   const cupel_tensors *tensors, bool training,
                                   struct cupel_error *error) {
    cupel_parameters *parameters;
    cupel_graph *graph = NULL;
    cupel_status status =
        cupel_parameters_create(&parameters, context, CUPEL_TYPE_F32, network->seed);
    if (status == CUPEL_STATUS_OK)
        status = cupel_graph_create(&graph, context, parameters);
    if (status == CUPEL_STATUS_OK)
        status = match(graph, parameters, network, tensors, training, error);
    else
        (void)cupel_fail(error, status, "%s", cupel_context_error(context));
    (void)cupel_graph_destroy(graph);
    (void)cupel_parameters_destroy(parameters);
    return status;
}

/* --- the programs --- */

static cupel_status compile(cupel_program **out, cupel_graph *graph, const struct network *network,
                            const char *name, bool reference, cupel_plan *plan,
                            const cupel_output *outputs, size_t n_outputs,
                            struct cupel_error *error) {
    const cupel_compile_options options = {
        .name = name,
        .outputs = outputs,
        .n_outputs = n_outputs,
        .real = network->real,
        .reference = reference,
        .threads = network->threads,
        .method = network->method,
        .plan = plan,
        .no_winograd = network->no_winograd,
    };
    cupel_status status = cupel_graph_check(graph);
    if (status == CUPEL_STATUS_OK)
        status = cupel_program_compile(out, graph, &options);
    return copy_error(error, status, cupel_graph_error(graph));
}

cupel_status network_compile_train(cupel_program **out, cupel_parameters *parameters,
                                   cupel_context *context, const struct network *network,
                                   const char *name, int64_t batch, bool reference,
                                   cupel_plan *plan, struct cupel_error *error) {
    *out = NULL;
    cupel_graph *graph;
    cupel_status status = cupel_graph_create(&graph, context, parameters);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_context_error(context));
    const cupel_output outputs[] = {{"loss", network_train_graph(graph, network, batch)}};
    status = compile(out, graph, network, name, reference, plan, outputs, 1, error);
    (void)cupel_graph_destroy(graph);
    return status;
}

cupel_status network_compile_score(cupel_program **out, cupel_parameters *parameters,
                                   cupel_context *context, const struct network *network,
                                   const char *name, int64_t batch, bool reference,
                                   cupel_plan *plan, struct cupel_error *error) {
    *out = NULL;
    cupel_graph *graph;
    cupel_status status = cupel_graph_create(&graph, context, parameters);
    if (status != CUPEL_STATUS_OK)
        return cupel_fail(error, status, "%s", cupel_context_error(context));
    const cupel_vae vae = network_score_graph(graph, network, batch);
    const cupel_output outputs[] = {
        {"error", vae.error}, {"kl", vae.kl}, {"reconstruction", vae.reconstruction}};
    status = compile(out, graph, network, name, reference, plan, outputs, 3, error);
    (void)cupel_graph_destroy(graph);
    return status;
}
