/* SPDX-License-Identifier: Apache-2.0 */
#include "armv7em/tiles_body.h"
