/* SPDX-License-Identifier: Apache-2.0 */
/* {{ cookiecutter.model }} for {{ cookiecutter.board_title }}:
 * self-test, then inference on your data. Your edits stay when `tinygen update` is run. */
#include <errno.h>

#include <zephyr/kernel.h>
#include <zephyr/logging/log.h>

#include "tinygen_model/{{ cookiecutter.model }}.h"
#include "self_test.h"

LOG_MODULE_REGISTER(app, CONFIG_TINYGEN_LOG_LEVEL);

static int8_t input[{{ cookiecutter.MODEL }}_INPUT_SIZE];
static int8_t output[{{ cookiecutter.MODEL }}_OUTPUT_SIZE];

#ifdef {{ cookiecutter.MODEL }}_STACK_BYTES
BUILD_ASSERT(CONFIG_MAIN_STACK_SIZE >= {{ cookiecutter.MODEL }}_STACK_BYTES + 1024,
             "raise CONFIG_MAIN_STACK_SIZE in zephyr/prj.conf");
#endif

/* ---- Your sensor ----
 *
 * Wait for data and fill in the {{ cookiecutter.MODEL }}_INPUT_SIZE values of one input. From floats, scaled as
 * in training:
 *
 *   static float x[{{ cookiecutter.MODEL }}_INPUT_SIZE];
 *   ...
 *   {{ cookiecutter.model }}_quantise_input(x, in);
 *
 * Return 0, or a negative error number to end the loop. */
static int read_sensor(int8_t *in) {
  ARG_UNUSED(in);
  return -ENODATA;
}

/* ---- What to do with the answer ---- */
static void use_answer(const int8_t *out) {
  LOG_INF("class %d", {{ cookiecutter.model }}_argmax(out));
}

int main(void) {
  int err;

  if (!self_test()) {
    LOG_ERR("the outputs are not as promised");
    return -EIO;
  }
  while ((err = read_sensor(input)) == 0) {
    {{ cookiecutter.model }}_run(&{{ cookiecutter.model }}_arena, input, output);
    use_answer(output);
  }
  if (err == -ENODATA)
    LOG_INF("no sensor yet: write read_sensor in src/main.c");
  else
    LOG_ERR("sensor error %d", err);
  return err;
}
