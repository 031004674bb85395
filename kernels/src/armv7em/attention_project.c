/* SPDX-License-Identifier: Apache-2.0 */
#include "armv7em/attention_project_body.h"
