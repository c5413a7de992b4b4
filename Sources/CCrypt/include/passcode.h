#ifndef RADIATOR_PASSCODE_H
#define RADIATOR_PASSCODE_H

#include <stddef.h>

/// Bytes that a hash or setting needs at most, its NUL included.
size_t radiator_crypt_output_size(void);

/// Bytes of the longest passcode that can be hashed, its NUL not counted.
size_t radiator_crypt_passcode_max(void);

/// Makes a yescrypt setting of this cost with a random salt, which the system provides.
/// Returns 0, or an error number.
int radiator_crypt_setting(unsigned long cost, char *out, size_t out_size);

/// Hashes a passcode (NUL at its end) by a setting, or by a hash made with one.
/// Leaves nothing of the passcode in memory of its own. Returns 0, or an error number.
int radiator_crypt_hash(const char *passcode, const char *setting, char *out, size_t out_size);

#endif
