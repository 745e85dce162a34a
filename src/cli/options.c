/*
 * The table of options and of commands, and what is made of it. Test: tests/command_line.bats
 */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include <cupel/number.h>

#include "console.h"

#define IN(command) (1u << COMMAND_##command)

struct row {
    const char *name;     /* without the dashes */
    const char *argument; /* NULL: a flag */
    unsigned commands;
    const char *key;  /* of the recipe */
    const char *help; /* or "train: ...|score: ..." where the commands differ */
};

static const struct row rows[OPTION_COUNT] = {
    [OPTION_DATA] = {"data", "DIR", IN(TRAIN) | IN(EVAL), NULL, "the folder of the data sets"},
    [OPTION_OUT] = {"out", "PATH", IN(TRAIN) | IN(SCORE), NULL,
                    "train: the run's folder (runs/NAME-N)|score: the CSV file (stdout)"},
    [OPTION_SEED] = {"seed", "N", IN(TRAIN) | IN(INSPECT) | IN(BENCH) | IN(DATA), "seed",
                     "of everything random|data: synth: of the shapes (0)"},
    [OPTION_THREADS] = {"threads", "N", IN(TRAIN) | IN(SCORE) | IN(EVAL) | IN(INSPECT) | IN(BENCH),
                        "threads", "threads of computation (0: one for each processor)"},
    [OPTION_WORKERS] = {"workers", "N", IN(TRAIN) | IN(BENCH), "workers",
                        "threads that prepare batches"},
    [OPTION_EPOCHS] = {"epochs", "N", IN(TRAIN), "train.epochs", "passes over the images"},
    [OPTION_BATCH] = {"batch", "N", IN(TRAIN) | IN(INSPECT) | IN(BENCH), "train.batch",
                      "images a step"},
    [OPTION_LR] = {"lr", "X", IN(TRAIN), "train.learning_rate", "step size of the optimiser"},
    [OPTION_PLAN] = {"plan", "HOW", IN(TRAIN) | IN(INSPECT) | IN(BENCH), "plan",
                     "how kernels are chosen: estimate or measure"},
    [OPTION_PLAN_FILE] = {"plan-file", "FILE", IN(TRAIN) | IN(SCORE), NULL,
                          "a plan.json to follow; --plan is for what it does not have"},
    [OPTION_SET] = {"set", "KEY=VALUE", IN(TRAIN) | IN(INSPECT) | IN(BENCH), NULL,
                    "any key of the recipe; again and again"},
    [OPTION_FORCE] = {"force", NULL, IN(TRAIN), NULL, "replace the run that the folder holds"},
    [OPTION_RESUME] = {"resume", "RUN", IN(TRAIN), NULL, "go on with a run that was stopped"},
    [OPTION_REPLAN] = {"replan", NULL, IN(TRAIN), NULL,
                       "resume although the plan does not fit: the bits change"},
    [OPTION_DRY_RUN] = {"dry-run", NULL, IN(TRAIN), NULL, "check and compile, train nothing"},
    [OPTION_WEIGHTS] = {"weights", "WHICH", IN(SCORE) | IN(EVAL), NULL,
                        "of a run: best or last (best)"},
    [OPTION_SPLIT] = {"split", "NAME", IN(EVAL), NULL,
                      "test, representative-1, representative-2 or labelled (test)"},
    [OPTION_DRAWS] = {"draws", "N", IN(EVAL), NULL,
                      "instead: the spread over N draws of a representative set"},
    [OPTION_SAMPLES] = {"samples", "K", IN(SCORE) | IN(EVAL), NULL,
                        "score: noise samples a score is the mean of|eval: also judge the mean "
                        "over K noise samples"},
    [OPTION_TOP] = {"top", "N", IN(SCORE), NULL, "images at each end of the sheet (20)"},
    [OPTION_SHEET] = {"sheet", "FILE", IN(SCORE), NULL,
                      "a PNG of the most normal and most anomalous images"},
    [OPTION_FILES0_FROM] = {"files0-from", "FILE", IN(SCORE), NULL,
                            "take the paths from FILE (-: stdin), each ended by a NUL byte"},
    [OPTION_FAIL_IF] = {"fail-if", "RULE", IN(SCORE), NULL,
                        "'anomalies>N': exit with 7 when more than N images are anomalous"},
    [OPTION_STEPS] = {"steps", "N", IN(BENCH), NULL,
                      "steps (20), or passes over the scored images (3), to time"},
    [OPTION_PROFILE] = {"profile", NULL, IN(BENCH), NULL,
                        "each node's time, speed, share and floor: its operations at the peak of "
                        "multiply-adds (Winograd: 2.2 times it, 1.8 for gradients) or its bytes at "
                        "the bandwidth, both measured"},
    [OPTION_TRACE] = {"trace", "FILE", IN(BENCH), NULL, "when each node ran, for chrome://tracing"},
    [OPTION_PRECISION] = {"precision", "TYPE", IN(BENCH), "precision",
                          "of the arithmetic: fp32 or bf16"},
    [OPTION_FROM] = {"from", "DIR|URL", IN(DATA), NULL,
                     "get: a folder or an address that has the files"},
    [OPTION_TO] = {"to", "DIR", IN(DATA), NULL,
                   "get: the folder of the data sets ($CUPEL_DATA, or the user's cache)"},
    [OPTION_IMAGES] = {"images", "N", IN(DATA), NULL,
                       "synth: training images, and a quarter as many for tests (4000)"},
    [OPTION_SIDE] = {"side", "N", IN(DATA), NULL, "synth: height and width in pixels (28)"},
    [OPTION_PNG] = {"png", NULL, IN(DATA), NULL,
                    "synth: also PNG files: train/good, test/good, test/scratch, ground_truth/..."},
    [OPTION_MAN] = {"man", NULL, IN(HELP), NULL, "the manual page, for man"},
    [OPTION_COMPLETION] = {"completion", "SHELL", IN(HELP), NULL,
                           "completion of this command line, for bash, fish or zsh"},
    [OPTION_JSON] = {"json", NULL, IN(TRAIN) | IN(EVAL) | IN(BENCH), NULL,
                     "results as JSON on stdout"},
    [OPTION_QUIET] = {"quiet", NULL, IN(TRAIN) | IN(SCORE) | IN(EVAL) | IN(BENCH) | IN(DATA), NULL,
                      "no progress on stderr"},
    [OPTION_HELP] = {"help", NULL,
                     IN(TRAIN) | IN(SCORE) | IN(EVAL) | IN(INSPECT) | IN(BENCH) | IN(DATA) |
                         IN(HELP),
                     NULL, "this text"},
};

struct command_row {
    const char *name, *operands, *help;
    size_t least, most; /* operands */
    const char *also;   /* names people try, between spaces */
};

static const struct command_row commands[COMMAND_COUNT] = {
    [COMMAND_TRAIN] = {"train", "RECIPE | --resume RUN", "train the network of a recipe", 0, 1,
                       " fit run learn start "},
    [COMMAND_SCORE] = {"score", "RUN|FILE.safetensors PATH...",
                       "how anomalous images are (IDX files, PNG files, folders), as CSV", 2,
                       MOST_OPERANDS, " predict infer detect classify test apply "},
    [COMMAND_EVAL] = {"eval", "RUN|FILE.safetensors",
                      "judge a run on its test images, beside plain baselines", 1, 1,
                      " evaluate validate metrics benchmark-scores "},
    [COMMAND_INSPECT] = {"inspect", "RECIPE",
                         "the compiled training step: order, kernels, layouts, memory", 1, 1,
                         " show summary print describe info "},
    [COMMAND_BENCH] = {"bench", "step|score conv-vae|mlp-vae [IDX FILE]",
                       "time the training step, or scores", 2, 3, " time speed benchmark profile "},
    [COMMAND_DATA] =
        {"data", "get SET | check PATH | synth DIR",
         "fetch published data, tell what files hold and all damage, make shapes with defects", 2,
         2, " dataset datasets download get fetch check "},
    [COMMAND_HELP] = {"help", "[COMMAND]", "this text, or a command's", 0, 1, " usage man "},
};

const char *option_name(enum option option) {
    return rows[option].name;
}

bool option_belongs(enum option option, enum command command) {
    return rows[option].commands >> command & 1;
}

const char *option_argument(enum option option) {
    return rows[option].argument;
}

const char *option_choices(enum option option) {
    switch (option) {
    case OPTION_PLAN: return "estimate measure";
    case OPTION_WEIGHTS: return "best last";
    case OPTION_SPLIT: return "test representative-1 representative-2 labelled";
    case OPTION_PRECISION: return "fp32 bf16";
    case OPTION_COMPLETION: return "bash fish zsh";
    default: return NULL;
    }
}

char *option_help(enum option option, enum command command, char buffer[160]) {
    const char *help = rows[option].help;
    char start[16];
    snprintf(start, sizeof start, "%s: ", commands[command].name);
    const char *const part = strstr(help, start);
    if (strchr(help, '|') != NULL && part != NULL)
        help = part + strlen(start);
    snprintf(buffer, 160, "%.*s", (int)strcspn(help, "|"), help);
    return buffer;
}

const char *option_key(enum option option) {
    return rows[option].key;
}

const char *command_name(enum command command) {
    return commands[command].name;
}

const char *command_operands(enum command command) {
    return commands[command].operands;
}

/* Appends the words in small letters of "step|score" to the list in buffer. */
static void add_words(char buffer[80], const char *item, size_t length) {
    for (size_t at = 0; at < length; at++) {
        const size_t end = at + strcspn(item + at, "| ");
        const size_t size = (end < length ? end : length) - at, there = strlen(buffer);
        if (item[at] >= 'a' && item[at] <= 'z')
            snprintf(buffer + there, 80 - there, "%s%.*s", there == 0 ? "" : " ", (int)size,
                     item + at);
        at += size;
    }
}

/* Forms stand between " | ", operands between spaces, choices between bars: "get SET | check PATH",
 * "step|score conv-vae|mlp-vae [IDX FILE]". */
char *command_words(enum command command, int place, char buffer[80]) {
    int at = 0;
    buffer[0] = '\0';
    for (const char *item = commands[command].operands; *item != '\0';) {
        const size_t length = strcspn(item, " ");
        const bool bar = length == 1 && *item == '|';
        if (!bar && at == place)
            add_words(buffer, item, length);
        at = bar ? 0 : at + 1;
        item += length;
        item += strspn(item, " ");
    }
    return buffer;
}

const char *command_help(enum command command) {
    return commands[command].help;
}

/* --- finding --- */

/* Levenshtein's distance; long words are cut, which only makes them unlike. */
static int distance(const char *a, const char *b) {
    enum { MOST = 32 };
    int row[MOST + 1];
    int width = 0;
    while (width < MOST && b[width] != '\0')
        width++;
    for (int j = 0; j <= width; j++)
        row[j] = j;
    for (int i = 0; i < MOST && a[i] != '\0'; i++) {
        int corner = row[0];
        row[0] = i + 1;
        for (int j = 0; j < width; j++) {
            const int changed = corner + (a[i] != b[j]);
            corner = row[j + 1];
            const int inserted = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            row[j + 1] = changed < inserted ? changed : inserted;
        }
    }
    return row[width];
}

static bool has_word(const char *words, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at++)
        if (at[-1] == ' ' && at[length] == ' ')
            return true;
    return false;
}

/* As far as a slip of the keyboard: one letter of a short word, two of a longer one. */
static int farthest_slip(const char *name) {
    return strlen(name) < 5 ? 1 : 2;
}

enum command command_find(const char *name, const char **hint) {
    int least = farthest_slip(name) + 1;
    *hint = NULL;
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return (enum command)i;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (name[0] != '\0' && strchr(name, ' ') == NULL && has_word(commands[i].also, name)) {
            *hint = commands[i].name;
            return COMMAND_COUNT;
        }
        const int far = distance(name, commands[i].name);
        if (far < least) {
            least = far;
            *hint = commands[i].name;
        }
    }
    return COMMAND_COUNT;
}

/* --- parsing --- */

static bool complain_unknown(enum command command, const char *name) {
    const char *near = NULL;
    int least = farthest_slip(name) + 1;
    for (int i = 0; i < OPTION_COUNT; i++) {
        const int far = distance(name, rows[i].name);
        if ((rows[i].commands >> command & 1) && far < least) {
            least = far;
            near = rows[i].name;
        }
    }
    if (near != NULL)
        complain("cupel %s has no option --%s; did you mean --%s?", commands[command].name, name,
                 near);
    else
        complain("cupel %s has no option --%s; see cupel help %s", commands[command].name, name,
                 commands[command].name);
    return false;
}

static bool find_option(enum command command, const char *name, size_t length,
                        enum option *option) {
    for (int i = 0; i < OPTION_COUNT; i++)
        if ((rows[i].commands >> command & 1) && strlen(rows[i].name) == length &&
            strncmp(rows[i].name, name, length) == 0) {
            *option = (enum option)i;
            return true;
        }
    return false;
}

static bool take(struct arguments *arguments, enum option option, const char *value) {
    if (option == OPTION_SET) {
        if (arguments->n_sets == MOST_SETS) {
            complain("more than %d --set options", (int)MOST_SETS);
            return false;
        }
        arguments->sets[arguments->n_sets++] = value;
    } else if (arguments->values[option] != NULL && rows[option].argument != NULL) {
        complain("--%s is given twice", rows[option].name);
        return false;
    }
    arguments->values[option] = value;
    return true;
}

/* argv[*at] begins with two dashes. */
static bool parse_option(struct arguments *arguments, int argc, char **argv, int *at) {
    const char *const name = argv[*at] + 2;
    const size_t length = strcspn(name, "=");
    enum option option;
    if (!find_option(arguments->command, name, length, &option)) {
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)(length < 60 ? length : 60), name);
        return complain_unknown(arguments->command, word);
    }
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (rows[option].argument == NULL) {
        if (value != NULL) {
            complain("--%s takes no value", rows[option].name);
            return false;
        }
        return take(arguments, option, "");
    }
    if (value == NULL) {
        if (*at + 1 >= argc) {
            complain("--%s needs a value: --%s %s", rows[option].name, rows[option].name,
                     rows[option].argument);
            return false;
        }
        value = argv[++*at];
    }
    return take(arguments, option, value);
}

static bool check_operands(const struct arguments *arguments) {
    const struct command_row *const row = &commands[arguments->command];
    const bool resume = arguments_has(arguments, OPTION_RESUME);
    if (arguments_has(arguments, OPTION_HELP))
        return true;
    const bool train_alone = arguments->command == COMMAND_TRAIN && !resume;
    const bool listed = arguments_has(arguments, OPTION_FILES0_FROM);
    const size_t least = train_alone || listed ? 1 : row->least;
    if (listed && arguments->n_operands > 1) {
        complain("--files0-from takes the paths from a list: leave out %s", arguments->operands[1]);
        return false;
    }
    if (arguments->n_operands >= least && arguments->n_operands <= row->most)
        return true;
    complain("usage: cupel %s %s [options]; see cupel help %s", row->name, row->operands,
             row->name);
    return false;
}

/* Options that mean nothing without another one. */
static bool check_company(const struct arguments *arguments) {
    static const enum option pairs[][2] = {{OPTION_REPLAN, OPTION_RESUME},
                                           {OPTION_TOP, OPTION_SHEET}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (arguments_has(arguments, pairs[i][0]) && !arguments_has(arguments, pairs[i][1]) &&
            !arguments_has(arguments, OPTION_HELP)) {
            complain("--%s does nothing without --%s: give both, or neither",
                     rows[pairs[i][0]].name, rows[pairs[i][1]].name);
            return false;
        }
    return true;
}

bool arguments_parse(struct arguments *arguments, enum command command, int argc, char **argv) {
    *arguments = (struct arguments){.command = command};
    arguments->operands = calloc((size_t)argc + 1, sizeof *arguments->operands);
    if (arguments->operands == NULL) {
        complain("memory was refused");
        return false;
    }
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strcmp(argv[i], "-h") == 0) {
            arguments->values[OPTION_HELP] = "";
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!parse_option(arguments, argc, argv, &i))
                return false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            complain("%s is no option; long options begin with two dashes, see cupel help %s",
                     argv[i], commands[command].name);
            return false;
        } else {
            arguments->operands[arguments->n_operands++] = argv[i];
        }
    }
    return check_operands(arguments) && check_company(arguments);
}

bool arguments_whole(const struct arguments *arguments, enum option option, int64_t least,
                     int64_t most, int64_t initial, int64_t *out) {
    const char *const text = arguments->values[option];
    *out = initial;
    if (text == NULL)
        return true;
    if (cupel_number_parse_whole(text, out) && *out >= least && *out <= most)
        return true;
    complain("--%s %s: give a whole number from %lld to %lld", rows[option].name, text,
             (long long)least, (long long)most);
    return false;
}

/* --- help --- */

static void print_program_help(FILE *stream) {
    fputs("cupel trains image models and finds out what they are really made of.\n\n"
          "usage: cupel COMMAND [options]\n\n",
          stream);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-7s %s\n          %s\n", commands[i].name, commands[i].operands,
                commands[i].help);
    fputs(
        "\n  cupel --version\n\n"
        "Exit codes: 0 fine, 1 failure, 2 usage, 3 bad data, 4 input or output, 5 device or plan,\n"
        "6 diverged, 7 gate failed, 130/143/129 stopped by a signal (train saves first).\n",
        stream);
}

void print_help(FILE *stream, enum command command) {
    if (command == COMMAND_COUNT) {
        print_program_help(stream);
        return;
    }
    fprintf(stream, "usage: cupel %s %s [options]\n\n%s\n\n", commands[command].name,
            commands[command].operands, commands[command].help);
    for (int i = 0; i < OPTION_COUNT; i++) {
        char left[48];
        if (!(rows[i].commands >> command & 1))
            continue;
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].argument == NULL ? "" : " ",
                 rows[i].argument == NULL ? "" : rows[i].argument);
        char help[160];
        const bool keyed = rows[i].key != NULL && command != COMMAND_DATA; /* has no recipe */
        fprintf(stream, "  %-18s %s%s%s\n", left, option_help((enum option)i, command, help),
                keyed ? "; recipe: " : "", keyed ? rows[i].key : "");
    }
}
