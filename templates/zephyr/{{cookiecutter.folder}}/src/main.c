/* SPDX-License-Identifier: Apache-2.0 */
/* {{ cookiecutter.model }} for {{ cookiecutter.board_title }}:
 * self-test, then inference on your data. Your edits stay when `tinygen update` is run. */
#include <errno.h>

#include <zephyr/kernel.h>
#include <zephyr/logging/log.h>

#include "tinygen_model/{{ cookiecutter.model }}.h"
#include "self_test.h"

LOG_MODULE_REGISTER(app, CONFIG_TINYGEN_LOG_LEVEL);

{% if cookiecutter.ends.several %}{% for name in cookiecutter.ends.inputs %}static int8_t in_{{ name }}[{{ cookiecutter.MODEL }}_{{ name | upper }}_SIZE];
{% endfor %}{% for name in cookiecutter.ends.outputs %}static int8_t out_{{ name }}[{{ cookiecutter.MODEL }}_{{ name | upper }}_SIZE];
{% endfor %}
static const {{ cookiecutter.model }}_inputs_t inputs = {
{% for name in cookiecutter.ends.inputs %}    .{{ name }} = in_{{ name }},
{% endfor %}};
static const {{ cookiecutter.model }}_outputs_t outputs = {
{% for name in cookiecutter.ends.outputs %}    .{{ name }} = out_{{ name }},
{% endfor %}};
{% else %}static int8_t input[{{ cookiecutter.MODEL }}_INPUT_SIZE];
static int8_t output[{{ cookiecutter.MODEL }}_OUTPUT_SIZE];
{% endif %}
#ifdef {{ cookiecutter.MODEL }}_STACK_BYTES
BUILD_ASSERT(CONFIG_MAIN_STACK_SIZE >= {{ cookiecutter.MODEL }}_STACK_BYTES + 1024,
             "raise CONFIG_MAIN_STACK_SIZE in zephyr/prj.conf");
#endif

/* ---- Your sensor ----
 *
 * {% if cookiecutter.ends.several %}Wait for data and fill in every input. From floats, scaled as in training:
 *
{% for name in cookiecutter.ends.inputs %} *   static float x_{{ name }}[{{ cookiecutter.MODEL }}_{{ name | upper }}_SIZE];
{% endfor %} *   ...
{% for name in cookiecutter.ends.inputs %} *   {{ cookiecutter.model }}_quantise_{{ name }}(x_{{ name }}, in_{{ name }});
{% endfor %}{% else %}Wait for data and fill in the {{ cookiecutter.MODEL }}_INPUT_SIZE values of one input. From floats, scaled as
 * in training:
 *
 *   static float x[{{ cookiecutter.MODEL }}_INPUT_SIZE];
 *   ...
 *   {{ cookiecutter.model }}_quantise_input(x, in);
{% endif %} *
 * Return 0, or a negative error number to end the loop. */
{% if cookiecutter.ends.several %}static int read_sensor(void) {
  return -ENODATA;
}
{% else %}static int read_sensor(int8_t *in) {
  ARG_UNUSED(in);
  return -ENODATA;
}
{% endif %}
/* ---- What to do with the answer ---- */
{% if cookiecutter.ends.several %}static void use_answers(void) {
{% for name in cookiecutter.ends.outputs %}  LOG_INF("{{ name }} %d", {{ cookiecutter.model }}_argmax_{{ name }}(out_{{ name }}));
{% endfor %}}
{% else %}static void use_answer(const int8_t *out) {
  LOG_INF("class %d", {{ cookiecutter.model }}_argmax(out));
}
{% endif %}
int main(void) {
  int err;

  if (!self_test()) {
    LOG_ERR("the outputs are not as promised");
    return -EIO;
  }
{% if cookiecutter.ends.several %}  while ((err = read_sensor()) == 0) {
    {{ cookiecutter.model }}_run(&{{ cookiecutter.model }}_arena, &inputs, &outputs);
    use_answers();
  }
{% else %}  while ((err = read_sensor(input)) == 0) {
    {{ cookiecutter.model }}_run(&{{ cookiecutter.model }}_arena, input, output);
    use_answer(output);
  }
{% endif %}  if (err == -ENODATA)
    LOG_INF("no sensor yet: write read_sensor in src/main.c");
  else
    LOG_ERR("sensor error %d", err);
  return err;
}
