/* Checking data (src/data/check.c): what is told of whole files, and that all damage is. */
#include "support/drill.h"

#include <sys/stat.h>

#include "cupel/check.h"
#include "cupel/image.h"
#include "support/trainer.h"

static char folder[128], told[8192], sentence[CUPEL_CHECK_SENTENCE_SIZE];
static int damages;

static void remember(void *user, bool damage, const char *line) {
    const size_t used = strlen(told);
    (void)user;
    damages += damage;
    snprintf(told + used, sizeof told - used, "%s%s\n", damage ? "damaged: " : "", line);
}

static cupel_status check(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s%s%s", folder, name[0] == '\0' ? "" : "/", name);
    told[0] = '\0';
    damages = 0;
    const cupel_status status = cupel_check(path, remember, NULL, sentence);
    check_context("%.200s", told);
    return status;
}

static void put(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "wb");
    CHECK(file != NULL && fputs(text, file) >= 0);
    CHECK_I64(fclose(file), 0);
}

static void cut(const char *name, off_t size) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_I64(truncate(path, size), 0);
}

static int begin(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", drill_folder());
    write_striped_idx(folder, "train", 30, 0, SIDE);
    write_striped_idx(folder, "t10k", 10, 0, SIDE);
    return 0;
}

static int end(void **state) {
    (void)state;
    drill_folder_remove(folder);
    return 0;
}

static void test_a_whole_set(void **state) {
    (void)state;
    begin(NULL);
    CHECK_OK(check(""));
    CHECK_I64(damages, 0);
    CHECK_CONTAINS(told, "/train-images-idx3-ubyte: 30 images of 8 x 8\n");
    CHECK_CONTAINS(told, "/t10k-labels-idx1-ubyte: 10 labels\n");
    CHECK_CONTAINS(told, ": train: 30 images of 8 x 8, 6 of class 0, 6 of class 1, ");
    CHECK_CONTAINS(told, ": test: 10 images of 8 x 8, 2 of class 0, ");
    put("classes.txt", "eins\nzwei\n");
    CHECK_OK(check(""));
    CHECK_CONTAINS(told, ", 6 of eins, 6 of zwei, 6 of class 2");
    CHECK_OK(check("train-images-idx3-ubyte"));
    CHECK_CONTAINS(told, ": 30 images of 8 x 8\n");
    end(NULL);
}

static void test_all_damage_is_told(void **state) {
    (void)state;
    begin(NULL);
    cut("train-images-idx3-ubyte", 500);
    cut("t10k-labels-idx1-ubyte", 9);
    put("x-ubyte.gz", "\n<html>Sorry</html>");
    put("y.png", "\x89PNG\r\n\x1a\n");
    CHECK_STATUS(check(""), CUPEL_STATUS_BAD_DATA);
    CHECK_I64(damages, 4);
    CHECK_CONTAINS(sentence, ": 4 things are wrong");
    for (const char *name = "train-images\0t10k-labels\0x-ubyte.gz\0y.png\0"; *name != '\0';
         name += strlen(name) + 1)
        CHECK_CONTAINS(told, name);
    CHECK_STATUS(check("x-ubyte.gz"), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(told, "is a web page and not data");
    CHECK_STATUS(check("y.png"), CUPEL_STATUS_BAD_DATA);
    end(NULL);
}

/* Also under other names, by what they hold; texts are nobody's business. */
static void test_every_file_is_looked_at(void **state) {
    (void)state;
    begin(NULL);
    put("trunc.gz", "\x1f\x8b\x08");
    put("page.gz", "<!DOCTYPE html>");
    put("download", "<html>Not found</html>");
    put("photo.png", "hello");
    put("manual.html", "<html>");
    put("a.jpg", "\xff\xd8\xff\xe0");
    put("c.tar.gz", "\x1f\x8b\x08");
    put("b.zip", "PK\3\4");
    put("README", "hello");
    write_striped_idx(folder, "x", 7, 0, SIDE);
    char from[256], to[256];
    snprintf(from, sizeof from, "%s/x-images-idx3-ubyte", folder);
    snprintf(to, sizeof to, "%s/other.dat", folder);
    CHECK_I64(rename(from, to), 0);
    CHECK_STATUS(check(""), CUPEL_STATUS_BAD_DATA);
    CHECK_I64(damages, 4);
    for (const char *name = "/trunc.gz is a damaged gzip file\0/page.gz: is a web page\0"
                            "/download: is a web page\0/photo.png is not a PNG\0"
                            "/manual.html: a web page, which is passed over\n\0"
                            "/a.jpg: a JPEG image, which is passed over: save it as PNG\n\0"
                            "/c.tar.gz: a tar archive, which is passed over: unpack it\n\0"
                            "/b.zip: a zip archive, which is passed over: unpack it\n\0"
                            "/other.dat: 7 images of 8 x 8\n\0";
         *name != '\0'; name += strlen(name) + 1)
        CHECK_CONTAINS(told, name);
    CHECK(strstr(told, "README") == NULL);
    end(NULL);
}

/* The limit on a file's size is that of the reader: this one is cut, and not too large. */
static void test_more_than_a_gigabyte(void **state) {
    (void)state;
    char path[256];
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/big-images-idx3-ubyte", folder);
    FILE *const stream = fopen(path, "wb");
    CHECK(stream != NULL);
    CHECK_U64(fwrite("\0\0\x08\3\0\1\0\0\0\0\x80\0\0\0\0\1", 1, 16, stream), 16);
    CHECK_I64(fclose(stream), 0);
    CHECK_I64(truncate(path, (INT64_C(1) << 30) + 4096), 0); /* a hole */
    CHECK_STATUS(check("big-images-idx3-ubyte"), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(told, "is truncated: its header announces 2147483648 values");
    end(NULL);
}

static void test_what_does_not_belong_together(void **state) {
    (void)state;
    begin(NULL);
    char path[256];
    snprintf(path, sizeof path, "%s/t10k-labels-idx1-ubyte", folder);
    CHECK_I64(unlink(path), 0);
    CHECK_STATUS(check(""), CUPEL_STATUS_BAD_DATA); /* no labels */
    CHECK_I64(damages, 1);
    CHECK_CONTAINS(told, "has no t10k-labels-idx1-ubyte");
    write_striped_idx(folder, "x", 7, 0, SIDE);
    char other[256];
    snprintf(other, sizeof other, "%s/x-labels-idx1-ubyte", folder);
    CHECK_I64(rename(other, path), 0);
    CHECK_STATUS(check(""), CUPEL_STATUS_BAD_DATA); /* seven of ten */
    CHECK_I64(damages, 1);
    CHECK_CONTAINS(told, "do not belong together");
    end(NULL);
}

static void test_folders_of_pictures(void **state) {
    (void)state;
    char path[256];
    cupel_image *image;
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/inner", folder);
    CHECK_I64(mkdir(path, 0700), 0);
    CHECK_OK(cupel_image_create(&image, 5, 4, 3));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/inner/%d.png", folder, i);
        CHECK_OK(cupel_image_write(image, path));
    }
    cupel_image_destroy(image);
    CHECK_OK(check(""));
    CHECK_CONTAINS(told, "/inner: 3 PNG images\n");
    CHECK_OK(check("inner/"));
    CHECK_OK(check("inner/1.png"));
    CHECK_CONTAINS(told, "/inner/1.png: a PNG image\n");
    cut("inner/2.png", 20);
    CHECK_STATUS(check(""), CUPEL_STATUS_BAD_DATA);
    CHECK_I64(damages, 1);
    CHECK_CONTAINS(told, "/inner: 2 PNG images\n");
    snprintf(path, sizeof path, "%s/inner", folder);
    drill_folder_remove(path);
    CHECK_STATUS(check(""), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(told, "holds neither IDX files nor PNG images");
    CHECK_STATUS(check("nowhere"), CUPEL_STATUS_IO);
    CHECK_CONTAINS(sentence, "cannot look at ");
    put("text", "hello");
    CHECK_STATUS(check("text"), CUPEL_STATUS_BAD_DATA);
    end(NULL);
}

/* Whole, but not what was published under this name: told, and no damage. */
static void test_a_known_name(void **state) {
    (void)state;
    char path[128], root[64];
    snprintf(root, sizeof root, "%s", drill_folder());
    snprintf(path, sizeof path, "%s/mnist", root);
    CHECK_I64(mkdir(path, 0700), 0);
    write_striped_idx(path, "train", 30, 0, SIDE);
    snprintf(folder, sizeof folder, "%s", path);
    CHECK_OK(check(""));
    CHECK(strstr(told, "as published") == NULL);
    char from[192], to[192];
    snprintf(from, sizeof from, "%s/train-labels-idx1-ubyte", folder);
    snprintf(to, sizeof to, "%s/train-labels-idx1-ubyte.gz", folder);
    CHECK_I64(rename(from, to), 0); /* the reader looks at the bytes, not at the name */
    CHECK_OK(check(""));
    CHECK_CONTAINS(told, "and the published file has 28881");
    end(NULL);
    drill_folder_remove(root);
}

static cupel_status check_once(void *user) {
    (void)user;
    return cupel_check(folder, remember, NULL, sentence);
}

static void test_memory_refused(void **state) {
    (void)state;
    begin(NULL);
    cupel_image *image;
    char path[256];
    CHECK_OK(cupel_image_create(&image, 5, 4, 3));
    snprintf(path, sizeof path, "%s/a.png", folder);
    CHECK_OK(cupel_image_write(image, path));
    cupel_image_destroy(image);
    CHECK(drill_memory(check_once, NULL) > 40);
    end(NULL);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_set),
        cmocka_unit_test(test_all_damage_is_told),
        cmocka_unit_test(test_every_file_is_looked_at),
        cmocka_unit_test(test_more_than_a_gigabyte),
        cmocka_unit_test(test_what_does_not_belong_together),
        cmocka_unit_test(test_folders_of_pictures),
        cmocka_unit_test(test_a_known_name),
        cmocka_unit_test(test_memory_refused),
    };
    return CHECK_MAIN(tests);
}
