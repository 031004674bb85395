/* SPDX-License-Identifier: Apache-2.0 */
#include "armv7em/linear_body.h"
