/* Numbers as text (src/base/number.c). Expected texts are Python's repr(); everything is run in the
 * C locale and again in German, where the decimal point is a comma. */
#define _GNU_SOURCE
#include "support/check.h"

#include <float.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/number.h"
#include "base/rng.h"

static void check_f64(const char *text, double expected) {
    double value = -77;
    check_context("\"%s\"", text);
    CHECK(number_parse_f64(text, &value));
    CHECK_F64(value, expected);
    CHECK_I64(signbit(value) != 0, signbit(expected) != 0);
}

static void parse_f64(void) {
    check_f64("0", 0.0);
    check_f64("-0", -0.0);
    check_f64("1", 1.0);
    check_f64("+2.5", 2.5);
    check_f64("-2.5", -2.5);
    check_f64(".5", 0.5);
    check_f64("5.", 5.0);
    check_f64("007", 7.0);
    check_f64("1e3", 1000.0);
    check_f64("1E+3", 1000.0);
    check_f64("25e-1", 2.5);
    check_f64("0.1", 0x1.999999999999ap-4);
    check_f64("1.7976931348623157e308", DBL_MAX);
    check_f64("4.9406564584124654e-324", 0x1p-1074);
    check_f64("1e-400", 0.0);
    check_f64("9007199254740993", 9007199254740992.0); /* a tie goes to even */

    static const char *const bad[] = {
        "",       " 1",    "1 ",    "1,5",  "1.5.2", ".",   "+",    "-",       "--1", "e5",
        ".e5",    "1e",    "1e+",   "1e5x", "0x10",  "inf", "-inf", "nan",     "1f",  "1e999",
        "-1e999", "1_000", "1'000", "\t1",  "1\n",   "١",   "NaN",  "INFINITY"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double value = -77;
        check_context("\"%s\"", bad[i]);
        CHECK(!number_parse_f64(bad[i], &value));
        CHECK_F64(value, -77.0);
    }
}

static void check_format(double value, const char *expected) {
    char buffer[NUMBER_TEXT_SIZE];
    CHECK_STRING(number_format_f64(buffer, value), expected);
}

static void format_f64(void) {
    check_context("format");
    check_format(0.0, "0");
    check_format(-0.0, "-0");
    check_format(1.0, "1");
    check_format(100.0, "100");
    check_format(0.1, "0.1");
    check_format(0.1 + 0.2, "0.30000000000000004");
    check_format(1.0 / 3, "0.3333333333333333");
    check_format(123.456, "123.456");
    check_format(0.0001, "0.0001");
    check_format(0.00001, "1e-05");
    check_format(0.000123, "0.000123");
    check_format(1e15, "1000000000000000");
    check_format(1e16, "1e+16");
    check_format(9007199254740991.0, "9007199254740991");
    check_format(123456789012345680.0, "1.2345678901234568e+17");
    check_format(1e100, "1e+100");
    check_format(5e-324, "5e-324");
    check_format(DBL_MAX, "1.7976931348623157e+308");
    check_format(DBL_MIN, "2.2250738585072014e-308");
    check_format(-0x1.750923ceb3ffdp-644, "-1.996150245444706e-194");
    check_format(0x1.363698b529b4ap-489, "7.581454333883296e-148");
    check_format(-0x1.b5bf55eb561a4p+680, "-8.57789382212775e+204");
    check_format(-0x1.2b8fda02f34a6p-692, "-5.694946403451123e-209");
    check_format(-0x1.8529f035efa25p+651, "-1.4204294611674214e+196");
    check_format(0x1.624273bfd1d33p-238, "3.132872124271458e-72");
    check_format((double)NAN, "nan");
    check_format(-(double)NAN, "nan");
    check_format((double)INFINITY, "inf");
    check_format(-(double)INFINITY, "-inf");
}

static void check_format_f32(float value, const char *expected) {
    char buffer[NUMBER_TEXT_SIZE];
    CHECK_STRING(number_format_f32(buffer, value), expected);
}

static void format_f32(void) {
    check_context("format float");
    check_format_f32(0.1F, "0.1");
    check_format_f32(1.0F / 3, "0.33333334");
    check_format_f32(16777216.0F, "16777216");
    check_format_f32(1e15F, "1000000000000000");
    check_format_f32(FLT_MAX, "3.4028235e+38");
    check_format_f32(FLT_MIN, "1.1754944e-38");
    check_format_f32(0x1p-149F, "1e-45");
    check_format_f32(-3.1415927F, "-3.1415927");
    check_format_f32(NAN, "nan");
    check_format_f32(-INFINITY, "-inf");
}

static void check_fixed(double value, int decimals, const char *expected) {
    char buffer[NUMBER_TEXT_SIZE];
    CHECK_STRING(number_format_fixed(buffer, value, decimals), expected);
}

static void format_fixed(void) {
    check_context("fixed");
    check_fixed(21.857, 2, "21.86");
    check_fixed(-21.857, 1, "-21.9");
    check_fixed(3.0, 0, "3");
    check_fixed(2.5, 0, "2"); /* a tie goes to even */
    check_fixed(2.5, -3, "2");
    check_fixed(0.125, 3, "0.125");
    check_fixed(-0.001, 2, "0.00"); /* no minus before nothing */
    check_fixed(-0.0, 0, "0");
    check_fixed(0.5, 99, "0.50000000000000000");
    check_fixed(1e300, 2, "1e+300");
    check_fixed(1e20, 17, "100000000000000000000.00000000000000000");
    check_fixed((double)NAN, 2, "nan");
    check_fixed(-(double)INFINITY, 2, "-inf");
}

static void round_trips(void) {
    const struct rng_key key = rng_key_make(5, 5);
    for (uint64_t i = 0; i < 3000; i++) {
        const uint64_t bits = rng_u64(key, i, 0, 0);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        char text[NUMBER_TEXT_SIZE];
        double back = 0;
        check_context("double %a as %s", value, number_format_f64(text, value));
        CHECK(strlen(text) < NUMBER_TEXT_SIZE);
        CHECK(number_parse_f64(text, &back));
        CHECK(memcmp(&back, &value, sizeof value) == 0);

        const uint32_t low = (uint32_t)bits;
        float single;
        memcpy(&single, &low, sizeof single);
        if (!isfinite(single))
            continue;
        check_context("float %a as %s", (double)single, number_format_f32(text, single));
        CHECK(number_parse_f64(text, &back));
        CHECK_F64((float)back, single); /* 9 digits: rounding twice does no harm to these draws */
    }
}

static void all_of_it(void) {
    parse_f64();
    format_f64();
    format_f32();
    format_fixed();
    round_trips();
}

static void test_reals(void **state) {
    (void)state;
    all_of_it();
}

/* A German locale: the system's, or one compiled here, or NULL. */
static const char *german(char folder[64]) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
    folder[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (setlocale(LC_ALL, names[i]) != NULL)
            return names[i];
    snprintf(folder, 64, "/tmp/cupel-locale-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return NULL;
    char command[256];
    snprintf(command, sizeof command, CUPEL_SOURCE_DIR "/tests/support/make-german %s", folder);
    const int failed = system(command);
    setenv("LOCPATH", folder, 1);
    return failed == 0 && setlocale(LC_ALL, "de_DE.UTF-8") != NULL ? "de_DE.UTF-8" : NULL;
}

static void test_reals_in_german(void **state) {
    (void)state;
    char folder[64];
    const char *name = german(folder);
    if (name == NULL) {
        print_message("no locale with a decimal comma here: install the package locales\n");
    } else {
        char text[16];
        snprintf(text, sizeof text, "%.1f", 0.5);
        CHECK_STRING(text, "0,5"); /* the locale does what it is here for */
        all_of_it();
        snprintf(text, sizeof text, "%.1f", 0.5);
        CHECK_STRING(text, "0,5"); /* and the caller's locale was left alone */
    }
    setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
    if (folder[0] != '\0') {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        CHECK_I64(system(command), 0);
    }
}

static void test_integers(void **state) {
    (void)state;
    int64_t i = 0;
    uint64_t u = 0;
    CHECK(number_parse_i64("0", &i) && i == 0);
    CHECK(number_parse_i64("-17", &i) && i == -17);
    CHECK(number_parse_i64("9223372036854775807", &i) && i == INT64_MAX);
    CHECK(number_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    CHECK(number_parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
    CHECK(number_parse_u64("0", &u) && u == 0);
    CHECK(number_parse_u64("10", &u) && u == 10);
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "01",
                                      "00",
                                      "-0",
                                      "-01",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "12a"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        check_context("\"%s\"", bad[k]);
        i = 42;
        CHECK(!number_parse_i64(bad[k], &i));
        CHECK_I64(i, 42);
    }
    u = 42;
    CHECK(!number_parse_u64("-1", &u));
    CHECK(!number_parse_u64("18446744073709551616", &u));
    CHECK(!number_parse_u64("01", &u));
    CHECK(!number_parse_u64("", &u));
    CHECK_U64(u, 42);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_reals_in_german),
        cmocka_unit_test(test_integers),
    };
    return CHECK_MAIN(tests);
}
