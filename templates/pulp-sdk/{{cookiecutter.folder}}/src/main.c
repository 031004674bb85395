/* SPDX-License-Identifier: Apache-2.0 */
/* Self-test of {{ cookiecutter.model }}: runs the stored samples and compares every output byte with what the
 * generator promised. One JSON object a line goes to the console; README.md describes them.
 *
 * This file runs on the fabric controller; the model runs on the cluster. */
#include "tinygen_model/{{ cookiecutter.model }}.h"
#include "tinygen_model/{{ cookiecutter.model }}_samples.h"

#include "platform.h"
#include "print.h"
#include "profile.h"

static int8_t output[{{ cookiecutter.MODEL }}_OUTPUT_SIZE];

/* On the cluster's controller, which takes the other cores along. */
static void inference(void *input) {
  {{ cookiecutter.model }}_run{% if cookiecutter.ends.several %}_packed{% endif %}(&{{ cookiecutter.model }}_arena, input, output);
}

#ifdef TG_PROFILE
static void calibrate(void *unused) {
  (void)unused;
  tg_profile_calibrate();
}
#endif

static void put_field(const char *name, int64_t value) {
  tg_put(",");
  tg_put_string(name);
  tg_put(":");
  tg_put_number(value);
}

static void put_text_field(const char *name, const char *value) {
  tg_put(",");
  tg_put_string(name);
  tg_put(":");
  tg_put_string(value);
}

static void report_boot(int32_t samples) {
  tg_put("{\"tg\":\"boot\"");
  put_text_field("model", "{{ cookiecutter.model }}");
  put_text_field("hash", {{ cookiecutter.model }}_model_hash);
  put_text_field("generator", {{ cookiecutter.model }}_generator);
  put_field("layers", {{ cookiecutter.MODEL }}_LAYERS);
  put_field("samples", samples);
#ifdef TG_PROFILE
  put_text_field("counter", tg_counter_name);
#else
  put_text_field("counter", "none");
#endif
  tg_put("}");
  tg_end_line();
}

/* Index of the first output that is not as promised, or -1. */
static int32_t first_difference(int32_t sample) {
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_OUTPUT_SIZE; i++)
    if (output[i] != {{ cookiecutter.model }}_sample_outputs[sample][i])
      return i;
  return -1;
}

static void report_counts(void) {
#ifdef TG_PROFILE
  int64_t total = 0;
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_LAYERS; i++)
    total += tg_layer_counts[i];
  put_field("total", total);
  tg_put(",\"counts\":[");
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_LAYERS; i++) {
    if (i)
      tg_put(",");
    tg_put_number(tg_layer_counts[i]);
  }
  tg_put("]");
#else
  tg_put(",\"total\":null,\"counts\":[]");
#endif
}

{% if cookiecutter.ends.several %}static void put_list(const char *name, const int32_t *values) {
  tg_put(",");
  tg_put_string(name);
  tg_put(":[");
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_OUTPUTS; i++) {
    if (i)
      tg_put(",");
    tg_put_number(values[i]);
  }
  tg_put("]");
}

/* Of the first output, then of all. */
static void put_answers(int32_t sample) {
  int32_t answers[{{ cookiecutter.MODEL }}_OUTPUTS];
  {{ cookiecutter.model }}_answers(output, answers);
  put_field("argmax", answers[0]);
  put_field("label", {{ cookiecutter.model }}_sample_labels[sample][0]);
  put_list("answers", answers);
  put_list("labels", {{ cookiecutter.model }}_sample_labels[sample]);
}

{% endif %}static int32_t test_sample(int32_t sample) {
  tg_on_cluster(inference, (void *)(uintptr_t){{ cookiecutter.model }}_sample_inputs[sample]);

  int32_t at = first_difference(sample);
  tg_put("{\"tg\":\"sample\"");
  put_field("i", sample);
  tg_put(at < 0 ? ",\"equal\":true" : ",\"equal\":false");
{% if cookiecutter.ends.several %}  put_answers(sample);
{% else %}  put_field("argmax", {{ cookiecutter.model }}_argmax(output));
  put_field("label", {{ cookiecutter.model }}_sample_labels[sample]);
{% endif %}  report_counts();
  if (at >= 0) {
    put_field("at", at);
    put_field("got", output[at]);
    put_field("promised", {{ cookiecutter.model }}_sample_outputs[sample][at]);
  }
  tg_put("}");
  tg_end_line();
  return at < 0;
}

static int32_t self_test(int32_t samples) {
  int32_t equal = 0;
  report_boot(samples);
#ifdef TG_PROFILE
  tg_on_cluster(calibrate, 0);
#endif
  for (int32_t i = 0; i < samples; i++)
    equal += test_sample(i);
  tg_put("{\"tg\":\"done\"");
  put_field("samples", samples);
  put_field("equal", equal);
  put_field("stack", -1);
  tg_put("}");
  tg_end_line();
  return equal == samples;
}

int32_t tg_program(int32_t samples) {
  if (samples < 0 || samples > {{ cookiecutter.MODEL }}_SAMPLES)
    samples = {{ cookiecutter.MODEL }}_SAMPLES;
#ifdef {{ cookiecutter.MODEL }}_L3_FILE
  const int32_t wrong = {{ cookiecutter.model }}_open();
  if (wrong) {
    tg_put("cannot fill L3 from " {{ cookiecutter.MODEL }}_L3_FILE ": ");
    tg_put_number(wrong);
    tg_end_line();
    return 2;
  }
#endif
  if (!self_test(samples))
    return 1;

  /* ---- Your own input starts here --------------------------------------------------------------
   * The self-test has passed. Fill x from your sensor and use the answer:
   *
{% if cookiecutter.ends.several %}   *   static int8_t q[{{ cookiecutter.MODEL }}_INPUT_SIZE]; all inputs, one after the other
   *   int32_t answers[{{ cookiecutter.MODEL }}_OUTPUTS];
   *   for (;;) {
   *     read_sensors(q);
   *     tg_on_cluster(inference, q);
   *     {{ cookiecutter.model }}_answers(output, answers);
   *     act_on(answers);
{% else %}   *   float x[{{ cookiecutter.MODEL }}_INPUT_SIZE];
   *   int8_t q[{{ cookiecutter.MODEL }}_INPUT_SIZE];
   *   for (;;) {
   *     read_sensor(x);
   *     {{ cookiecutter.model }}_quantise_input(x, q);
   *     tg_on_cluster(inference, q);
   *     act_on({{ cookiecutter.model }}_argmax(output));
{% endif %}   *   }
   */

  return 0;
}
