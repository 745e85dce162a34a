/*
 * Names and sentences of the status codes, made from the one list in cupel/status.h.
 * Test: tests/test_error.c
 */
#include "cupel/status.h"

const char *cupel_status_name(cupel_status status) {
    switch (status) {
#define STATUS_NAME(symbol, value, sentence) \
    case CUPEL_STATUS_##symbol: return #symbol;
        CUPEL_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    }
    return "UNKNOWN";
}

const char *cupel_status_text(cupel_status status) {
    switch (status) {
#define STATUS_TEXT(symbol, value, sentence) \
    case CUPEL_STATUS_##symbol: return sentence;
        CUPEL_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "not a status of this library";
}
