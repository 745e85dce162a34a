/*
 * Recipes out of YAML: libyaml's events, walked with a bounded depth, become dotted keys and
 * scalars; what they mean is decided in recipe.c. Of YAML's features only mappings, scalars and
 * lists of scalars are wanted: anchors, aliases, tags and several documents are refused by name.
 * Test: tests/test_recipe.c
 */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/file_kind.h"
#include "base/memory.h"
#include "data/recipe_internal.h"

enum { MAX_DEPTH = 4, MAX_KEYS = 1000, MAX_BYTES = 1 << 20 };

struct seen_key {
    const char *path;
    size_t line;
};

struct walker {
    cupel_recipe *recipe;
    const char *name;
    yaml_parser_t parser;
    struct arena arena; /* key paths and scalars */
    struct seen_key seen[MAX_KEYS];
    size_t seen_count;
};

static cupel_status fail_at(struct walker *walker, size_t line, const char *format, ...)
    CUPEL_PRINTF(3, 4);

static cupel_status fail_at(struct walker *walker, size_t line, const char *format, ...) {
    struct cupel_error why;
    va_list args;
    va_start(args, format);
    cupel_vfail(&why, CUPEL_STATUS_BAD_DATA, format, args);
    va_end(args);
    return cupel_fail(&walker->recipe->error, CUPEL_STATUS_BAD_DATA, "%s:%zu: %s", walker->name,
                      line, why.text);
}

static cupel_status fail_memory(struct walker *walker) {
    return cupel_fail_memory(&walker->recipe->error, walker->name, 0);
}

static cupel_status next_event(struct walker *walker, yaml_event_t *event) {
    yaml_parser_t *const parser = &walker->parser;
    if (yaml_parser_parse(parser, event))
        return CUPEL_STATUS_OK;
    const char *const problem = parser->problem != NULL ? parser->problem : "cannot be read";
    if (parser->error == YAML_MEMORY_ERROR)
        return fail_memory(walker);
    if (parser->error == YAML_READER_ERROR)
        return cupel_fail(&walker->recipe->error, CUPEL_STATUS_BAD_DATA,
                          "%s: byte %zu: not YAML text: %s; save the file as UTF-8", walker->name,
                          parser->problem_offset, problem);
    return fail_at(walker, parser->problem_mark.line + 1, "not valid YAML: %s%s%s (column %zu)",
                   problem, parser->context != NULL ? " " : "",
                   parser->context != NULL ? parser->context : "", parser->problem_mark.column + 1);
}

static size_t line_of(const yaml_event_t *event) {
    return event->start_mark.line + 1;
}

/* Refuses what gives a value another meaning than its text. */
static cupel_status refuse_features(struct walker *walker, const yaml_event_t *event) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return fail_at(walker, line_of(event),
                       "*%.40s refers to another place; recipes have no aliases: write the value "
                       "out",
                       (const char *)event->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default: break;
    }
    if (anchor != NULL)
        return fail_at(walker, line_of(event), "&%.40s: recipes have no anchors; remove it",
                       (const char *)anchor);
    if (tag != NULL)
        return fail_at(walker, line_of(event), "%.60s: recipes have no tags; remove it",
                       (const char *)tag);
    return CUPEL_STATUS_OK;
}

/* The text of a scalar, copied, because the event dies before its key is assigned. */
static cupel_status take_scalar(struct walker *walker, const yaml_event_t *event,
                                struct recipe_scalar *out) {
    const char *const text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return fail_at(walker, line_of(event), "a text with a NUL character");
    out->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    out->text = arena_strdup(&walker->arena, text);
    return out->text != NULL ? CUPEL_STATUS_OK : fail_memory(walker);
}

static cupel_status read_list(struct walker *walker, const char *path, size_t line) {
    struct recipe_scalar *const items = arena_alloc(&walker->arena, RECIPE_MAX_LIST, sizeof *items);
    if (items == NULL)
        return fail_memory(walker);
    for (size_t count = 0;;) {
        yaml_event_t event;
        CUPEL_TRY(next_event(walker, &event));
        cupel_status status = refuse_features(walker, &event);
        const bool ended = event.type == YAML_SEQUENCE_END_EVENT;
        if (status == CUPEL_STATUS_OK && !ended) {
            if (event.type != YAML_SCALAR_EVENT)
                status =
                    fail_at(walker, line_of(&event), "%s: a list holds plain values only", path);
            else if (count == RECIPE_MAX_LIST)
                status = fail_at(walker, line_of(&event), "%s: more than %d elements", path,
                                 RECIPE_MAX_LIST);
            else
                status = take_scalar(walker, &event, &items[count++]);
        }
        yaml_event_delete(&event);
        CUPEL_TRY(status);
        if (ended) {
            const char *const place = arena_printf(&walker->arena, "%s:%zu", walker->name, line);
            if (place == NULL)
                return fail_memory(walker);
            return recipe_assign(walker->recipe, path, items, count, true, place);
        }
    }
}

/* Remembers a key, and refuses it when it was there before. */
static cupel_status remember(struct walker *walker, const char *path, size_t line) {
    for (size_t i = 0; i < walker->seen_count; i++)
        if (strcmp(walker->seen[i].path, path) == 0)
            return fail_at(walker, line, "%.100s is given twice, here and in line %zu; remove one",
                           path, walker->seen[i].line);
    if (walker->seen_count == MAX_KEYS)
        return fail_at(walker, line, "more than %d keys", MAX_KEYS);
    walker->seen[walker->seen_count++] = (struct seen_key){path, line};
    return CUPEL_STATUS_OK;
}

static cupel_status read_mapping(struct walker *walker, const char *prefix, int depth);

static cupel_status read_value(struct walker *walker, const yaml_event_t *event, const char *path,
                               size_t line, int depth) {
    CUPEL_TRY(refuse_features(walker, event));
    if (event->type == YAML_MAPPING_START_EVENT) {
        if (cupel_recipe_key_find(path) != NULL)
            return fail_at(walker, line, "%s is a value, not a section", path);
        if (recipe_section(path) == NULL) {
            char near[RECIPE_SECTION_SIZE];
            return fail_at(walker, line, "there is no section %.100s; did you mean %s?", path,
                           recipe_nearest_section(path, near));
        }
        return read_mapping(walker, path, depth + 1);
    }
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return read_list(walker, path, line);
    struct recipe_scalar scalar;
    CUPEL_TRY(take_scalar(walker, event, &scalar));
    const char *const place = arena_printf(&walker->arena, "%s:%zu", walker->name, line);
    if (place == NULL)
        return fail_memory(walker);
    return recipe_assign(walker->recipe, path, &scalar, 1, false, place);
}

/* After the event of its start; consumes everything up to its end. */
static cupel_status read_mapping(struct walker *walker, const char *prefix, int depth) {
    for (;;) {
        yaml_event_t event;
        CUPEL_TRY(next_event(walker, &event));
        cupel_status status = refuse_features(walker, &event);
        const bool ended = event.type == YAML_MAPPING_END_EVENT;
        const size_t line = line_of(&event);
        struct recipe_scalar key = {0};
        if (status == CUPEL_STATUS_OK && !ended)
            status = event.type == YAML_SCALAR_EVENT
                         ? take_scalar(walker, &event, &key)
                         : fail_at(walker, line, "a key must be a word");
        yaml_event_delete(&event);
        CUPEL_TRY(status);
        if (ended)
            return CUPEL_STATUS_OK;
        if (depth > MAX_DEPTH)
            return fail_at(walker, line, "sections are nested too deeply");
        const char *const path =
            arena_printf(&walker->arena, "%s%s%s", prefix, *prefix ? "." : "", key.text);
        if (path == NULL)
            return fail_memory(walker);
        CUPEL_TRY(remember(walker, path, line));
        CUPEL_TRY(next_event(walker, &event));
        status = read_value(walker, &event, path, line, depth);
        yaml_event_delete(&event);
        CUPEL_TRY(status);
    }
}

/* Consumes one event, which must be of the given type. */
static cupel_status expect(struct walker *walker, yaml_event_type_t type, const char *why) {
    yaml_event_t event;
    CUPEL_TRY(next_event(walker, &event));
    cupel_status status = refuse_features(walker, &event);
    if (status == CUPEL_STATUS_OK && event.type != type)
        status = fail_at(walker, line_of(&event), "%s", why);
    yaml_event_delete(&event);
    return status;
}

static cupel_status read_stream(struct walker *walker) {
    CUPEL_TRY(expect(walker, YAML_STREAM_START_EVENT, "not a YAML stream"));
    CUPEL_TRY(expect(walker, YAML_DOCUMENT_START_EVENT,
                     "the recipe is empty; write at least one key, or {} for the defaults"));
    CUPEL_TRY(expect(walker, YAML_MAPPING_START_EVENT,
                     "a recipe is a list of \"key: value\" lines, and this is something else"));
    CUPEL_TRY(read_mapping(walker, "", 0));
    CUPEL_TRY(expect(walker, YAML_DOCUMENT_END_EVENT, "the recipe does not end here"));
    return expect(walker, YAML_STREAM_END_EVENT,
                  "a second document begins; a file holds one recipe");
}

/* Other files have no lines, and what YAML says about their bytes helps nobody. */
static cupel_status refuse_other_files(cupel_recipe *recipe, const char *bytes, size_t size,
                                       const char *name) {
    const char *kind = file_kind(bytes, size);
    const bool utf16 =
        size >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0);
    if (kind == NULL && !utf16 && memchr(bytes, 0, size) != NULL)
        kind = "a file of bytes and not of text";
    if (kind == NULL)
        return CUPEL_STATUS_OK;
    return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                      "%s is no recipe: it is %s; give a YAML file, such as "
                      "recipes/vae-anomaly/demo.yaml",
                      name, kind);
}

/* YAML forbids tabs as indentation, and libyaml's sentence about it helps nobody. */
static cupel_status refuse_tabs(struct walker *walker, const char *bytes, size_t size) {
    size_t line = 1;
    bool indent = true;
    for (size_t i = 0; i < size; i++) {
        if (indent && bytes[i] == '\t')
            return fail_at(walker, line, "a tab indents this line; YAML takes spaces only");
        indent = bytes[i] == '\n' || (indent && bytes[i] == ' ');
        line += bytes[i] == '\n';
    }
    return CUPEL_STATUS_OK;
}

static cupel_status parse_into(cupel_recipe *recipe, const void *bytes, size_t size,
                               const char *name) {
    if (size > MAX_BYTES)
        return cupel_fail(&recipe->error, CUPEL_STATUS_BAD_DATA,
                          "%s: a recipe of %zu bytes; more than %d is no recipe", name, size,
                          MAX_BYTES);
    if (size > 0)
        CUPEL_TRY(refuse_other_files(recipe, bytes, size, name));
    struct walker *const walker = cupel_alloc(1, sizeof *walker);
    if (walker == NULL)
        return cupel_fail_memory(&recipe->error, name, sizeof *walker);
    walker->recipe = recipe;
    walker->name = name;
    cupel_status status = refuse_tabs(walker, bytes, size);
    if (status == CUPEL_STATUS_OK && !yaml_parser_initialize(&walker->parser))
        status = fail_memory(walker);
    if (status == CUPEL_STATUS_OK) {
        yaml_parser_set_input_string(&walker->parser, bytes, size);
        status = read_stream(walker);
        yaml_parser_delete(&walker->parser);
    }
    arena_release(&walker->arena);
    cupel_free(walker);
    return status;
}

/* After a failure the values are the defaults again: a half-read recipe is no recipe. */
static cupel_status deliver(cupel_recipe **out, cupel_recipe *recipe, cupel_status status) {
    *out = recipe;
    if (status == CUPEL_STATUS_OK)
        return status;
    cupel_recipe *fresh;
    if (cupel_recipe_create(&fresh) == CUPEL_STATUS_OK)
        (void)cupel_error_copy(&fresh->error, &recipe->error);
    *out = fresh;
    cupel_recipe_destroy(recipe);
    return status;
}

cupel_status cupel_recipe_parse(cupel_recipe **out, const void *bytes, size_t size,
                                const char *name) {
    cupel_recipe *recipe;
    *out = NULL;
    CUPEL_TRY(cupel_recipe_create(&recipe));
    return deliver(out, recipe, parse_into(recipe, bytes, size, name));
}

cupel_status cupel_recipe_read(cupel_recipe **out, const char *path) {
    cupel_recipe *recipe;
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = NULL;
    CUPEL_TRY(cupel_recipe_create(&recipe));
    cupel_status status = file_read(path, MAX_BYTES, &bytes, &size, &recipe->error);
    if (status == CUPEL_STATUS_OK)
        status = parse_into(recipe, bytes, size, path);
    cupel_free(bytes);
    return deliver(out, recipe, status);
}
