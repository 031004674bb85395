/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test of {{ cookiecutter.model }}, then your own code. -DTG_SELF_TEST=OFF leaves your own code. */
#include "tinygen_model/{{ cookiecutter.model }}.h"

#include "platform.h"
#include "self_test.h"

int main(int argc, char **argv) {
  int32_t samples = tg_platform_start(argc, argv);
#ifdef TG_SELF_TEST
  if (!tg_self_test(samples))
    tg_exit(1);
#else
  (void)samples;
#endif

  /* ---- Your own input starts here --------------------------------------------------------------
   * Fill x from your sensor and use the answer:
   *
{% if cookiecutter.ends.several %}{% for name in cookiecutter.ends.inputs %}   *   static float x_{{ name }}[{{ cookiecutter.MODEL }}_{{ name | upper }}_SIZE];
   *   static int8_t q_{{ name }}[{{ cookiecutter.MODEL }}_{{ name | upper }}_SIZE];
{% endfor %}{% for name in cookiecutter.ends.outputs %}   *   static int8_t y_{{ name }}[{{ cookiecutter.MODEL }}_{{ name | upper }}_SIZE];
{% endfor %}   *   const {{ cookiecutter.model }}_inputs_t inputs = { {% for name in cookiecutter.ends.inputs %}.{{ name }} = q_{{ name }}{{ ", " if not loop.last }}{% endfor %} };
   *   const {{ cookiecutter.model }}_outputs_t outputs = { {% for name in cookiecutter.ends.outputs %}.{{ name }} = y_{{ name }}{{ ", " if not loop.last }}{% endfor %} };
   *   for (;;) {
   *     read_sensors();
{% for name in cookiecutter.ends.inputs %}   *     {{ cookiecutter.model }}_quantise_{{ name }}(x_{{ name }}, q_{{ name }});
{% endfor %}   *     {{ cookiecutter.model }}_run(&{{ cookiecutter.model }}_arena, &inputs, &outputs);
{% for name in cookiecutter.ends.outputs %}   *     act_on({{ cookiecutter.model }}_argmax_{{ name }}(y_{{ name }}));
{% endfor %}{% else %}   *   static float x[{{ cookiecutter.MODEL }}_INPUT_SIZE];
   *   static int8_t q[{{ cookiecutter.MODEL }}_INPUT_SIZE], y[{{ cookiecutter.MODEL }}_OUTPUT_SIZE];
   *   for (;;) {
   *     read_sensor(x);
   *     {{ cookiecutter.model }}_quantise_input(x, q);
   *     {{ cookiecutter.model }}_run(&{{ cookiecutter.model }}_arena, q, y);
   *     act_on({{ cookiecutter.model }}_argmax(y));
{% endif %}   *   }
   */

  tg_exit(0);
}
