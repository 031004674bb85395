/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON object a line goes to the console; README.md describes them. */
#include "self_test.h"

#include "tinygen_model/{{ cookiecutter.model }}.h"
#include "tinygen_model/{{ cookiecutter.model }}_samples.h"

#include "platform.h"
#include "print.h"
#include "profile.h"

static int8_t output[{{ cookiecutter.MODEL }}_OUTPUT_SIZE];

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
  {{ cookiecutter.model }}_run{% if cookiecutter.ends.several %}_packed{% endif %}(&{{ cookiecutter.model }}_arena, {{ cookiecutter.model }}_sample_inputs[sample], output);

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

int32_t tg_self_test(int32_t samples) {
  int32_t equal = 0;
  if (samples < 0 || samples > {{ cookiecutter.MODEL }}_SAMPLES)
    samples = {{ cookiecutter.MODEL }}_SAMPLES;
  report_boot(samples);
#ifdef TG_PROFILE
  tg_profile_calibrate();
#endif
  for (int32_t i = 0; i < samples; i++)
    equal += test_sample(i);
  tg_put("{\"tg\":\"done\"");
  put_field("samples", samples);
  put_field("equal", equal);
  put_field("stack", tg_stack_used());
  tg_put("}");
  tg_end_line();
  return equal == samples;
}
