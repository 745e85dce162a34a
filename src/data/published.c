/*
 * The table of published data sets. The sums are of the files as their authors offer them, whose
 * MD5 are on the authors' pages: 8d4fb7e6c68d591d4c3dfef9ec88bf0d for Fashion-MNIST's training
 * images, f68b3c2dcbeaaa9fbdd348bbdeb94873 for MNIST's. Test: tests/test_download.c
 */
#include "data/published.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/memory.h"

static const struct published_set sets[] = {
    {"fashion-mnist",
     {"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"},
     {{"train-images-idx3-ubyte.gz", 26421880,
       "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
      {"train-labels-idx1-ubyte.gz", 29515,
       "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
      {"t10k-images-idx3-ubyte.gz", 4422102,
       "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
      {"t10k-labels-idx1-ubyte.gz", 5148,
       "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"}}},
    {"mnist",
     {"https://ossci-datasets.s3.amazonaws.com/mnist/",
      "https://storage.googleapis.com/cvdf-datasets/mnist/"},
     {{"train-images-idx3-ubyte.gz", 9912422,
       "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
      {"train-labels-idx1-ubyte.gz", 28881,
       "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
      {"t10k-images-idx3-ubyte.gz", 1648877,
       "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
      {"t10k-labels-idx1-ubyte.gz", 4542,
       "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}}},
};
enum { SETS = sizeof sets / sizeof sets[0] };

const struct published_set *published_at(size_t index) {
    return index < SETS ? &sets[index] : NULL;
}

const struct published_set *published_find(const char *name) {
    for (size_t i = 0; i < SETS; i++)
        if (strcmp(sets[i].name, name) == 0)
            return &sets[i];
    return NULL;
}

void sha256_text(char out[SHA256_TEXT_SIZE], const void *bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";
    struct sha256_ctx state;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&state);
    sha256_update(&state, size, bytes);
    sha256_digest(&state, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[SHA256_TEXT_SIZE - 1] = '\0';
}

cupel_status published_check(const struct published_file *file, const void *bytes, size_t size,
                             const char *where, struct cupel_error *error) {
    char sum[SHA256_TEXT_SIZE];
    if (looks_like_web_page(bytes, size))
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s is a web page and not data: an error page, or one to log in at; open "
                          "the address in a browser, or get the files elsewhere with --from",
                          where);
    if (size != file->size)
        return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                          "%s has %llu bytes, and the published file has %llu: it is damaged or "
                          "another; get the files elsewhere with --from",
                          where, (unsigned long long)size, (unsigned long long)file->size);
    sha256_text(sum, bytes, size);
    if (strcmp(sum, file->sha256) == 0)
        return CUPEL_STATUS_OK;
    return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                      "%s has the SHA-256 %s, and the published file has %s: it is damaged or "
                      "another; get the files elsewhere with --from",
                      where, sum, file->sha256);
}

cupel_status data_cache_folder(char **out, struct cupel_error *error) {
    const char *const cache = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");
    const bool own = cache != NULL && cache[0] == '/';
    *out = NULL;
    if (!own && (home == NULL || home[0] == '\0'))
        return CUPEL_STATUS_OK;
    *out = file_join(own ? cache : home, own ? "cupel" : ".cache/cupel");
    return *out != NULL ? CUPEL_STATUS_OK : cupel_fail_memory(error, "the cache folder", 0);
}
