/* SPDX-License-Identifier: Apache-2.0 */
/* What every kernel shares: exact-width types and the notation of the contracts.
 *
 * S tokens, E features, H heads, P features a head, N outputs, K inputs. Activations are int8,
 * accumulators int32. Strides are in elements. A pointer that a contract does not call nullable
 * must not be null, and outputs must not overlap inputs unless "in place" is allowed.
 * No kernel allocates, keeps state or calls libm: all are reentrant.
 * The bits each kernel gives are defined by the Python package tinygen.operators.
 */
#ifndef TINYGEN_TYPES_H
#define TINYGEN_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TG_BEGIN extern "C" {
#define TG_END }
#else
#define TG_BEGIN
#define TG_END
#endif

#endif
