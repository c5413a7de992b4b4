#define _GNU_SOURCE
#include "passcode.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t radiator_crypt_output_size(void) { return CRYPT_OUTPUT_SIZE; }

size_t radiator_crypt_passcode_max(void) { return CRYPT_MAX_PASSPHRASE_SIZE - 1; }

int radiator_crypt_setting(unsigned long cost, char *out, size_t out_size)
{
    errno = 0;
    if (crypt_gensalt_rn("$y$", cost, NULL, 0, out, (int)out_size) != NULL)
        return 0;
    return errno != 0 ? errno : EINVAL;
}

int radiator_crypt_hash(const char *passcode, const char *setting, char *out, size_t out_size)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL)
        return ENOMEM;
    errno = 0;
    const char *hash = crypt_rn(passcode, setting, data, sizeof *data);
    int result = 0;
    if (hash == NULL)
        result = errno != 0 ? errno : EINVAL;
    else if (strlen(hash) >= out_size)
        result = ERANGE;
    else
        strcpy(out, hash);
    explicit_bzero(data, sizeof *data);
    free(data);
    return result;
}
