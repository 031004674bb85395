/* SPDX-License-Identifier: Apache-2.0 */
#include "self_test.h"

#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "tinygen_model/{{ cookiecutter.model }}.h"
#include "tinygen_model/{{ cookiecutter.model }}_samples.h"
#include "profile.h"

#ifdef CONFIG_TINYGEN_SELF_TEST

static int8_t output[{{ cookiecutter.MODEL }}_OUTPUT_SIZE];

static void report_boot(int32_t samples) {
  printk("{\"tg\":\"boot\",\"model\":\"{{ cookiecutter.model }}\",\"hash\":\"%s\",\"generator\":\"%s\","
         "\"layers\":%d,\"samples\":%d,\"counter\":\"%s\"}\n",
         {{ cookiecutter.model }}_model_hash, {{ cookiecutter.model }}_generator, {{ cookiecutter.MODEL }}_LAYERS, (int)samples,
         tg_counter_name);
}

static void report_counts(void) {
#ifdef CONFIG_TINYGEN_PROFILE
  uint64_t total = 0;
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_LAYERS; i++)
    total += tg_layer_counts[i];
  printk(",\"total\":%llu,\"counts\":[", (unsigned long long)total);
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_LAYERS; i++)
    printk("%s%u", i ? "," : "", (unsigned int)tg_layer_counts[i]);
  printk("]");
#else
  printk(",\"total\":null,\"counts\":[]");
#endif
}

/* Index of the first output that is not as promised, or -1. */
static int32_t first_difference(int32_t sample) {
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_OUTPUT_SIZE; i++)
    if (output[i] != {{ cookiecutter.model }}_sample_outputs[sample][i])
      return i;
  return -1;
}

{% if cookiecutter.ends.several %}static void report_list(const char *name, const int32_t *values) {
  printk(",\"%s\":[", name);
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_OUTPUTS; i++)
    printk("%s%d", i ? "," : "", (int)values[i]);
  printk("]");
}

/* Of the first output, then of all. */
static void report_answers(int32_t sample) {
  int32_t answers[{{ cookiecutter.MODEL }}_OUTPUTS];
  {{ cookiecutter.model }}_answers(output, answers);
  printk(",\"argmax\":%d,\"label\":%d", (int)answers[0], (int){{ cookiecutter.model }}_sample_labels[sample][0]);
  report_list("answers", answers);
  report_list("labels", {{ cookiecutter.model }}_sample_labels[sample]);
}

{% endif %}static int32_t test_sample(int32_t sample) {
  {{ cookiecutter.model }}_run{% if cookiecutter.ends.several %}_packed{% endif %}(&{{ cookiecutter.model }}_arena, {{ cookiecutter.model }}_sample_inputs[sample], output);

  const int32_t at = first_difference(sample);
{% if cookiecutter.ends.several %}  printk("{\"tg\":\"sample\",\"i\":%d,\"equal\":%s", (int)sample, at < 0 ? "true" : "false");
  report_answers(sample);
{% else %}  printk("{\"tg\":\"sample\",\"i\":%d,\"equal\":%s,\"argmax\":%d,\"label\":%d", (int)sample,
         at < 0 ? "true" : "false", (int){{ cookiecutter.model }}_argmax(output),
         (int){{ cookiecutter.model }}_sample_labels[sample]);
{% endif %}  report_counts();
  if (at >= 0)
    printk(",\"at\":%d,\"got\":%d,\"promised\":%d", (int)at, output[at],
           {{ cookiecutter.model }}_sample_outputs[sample][at]);
  printk("}\n");
  return at < 0;
}

/* The largest use of this thread's stack, or -1. */
static int stack_used(void) {
#if defined(CONFIG_INIT_STACKS) && defined(CONFIG_THREAD_STACK_INFO) && !defined(CONFIG_ARCH_POSIX)
  size_t unused;
  if (k_thread_stack_space_get(k_current_get(), &unused) == 0)
    return (int)(k_current_get()->stack_info.size - unused);
#endif
  return -1;
}

bool self_test(void) {
  int32_t samples = {{ cookiecutter.MODEL }}_SAMPLES, equal = 0;
  if (CONFIG_TINYGEN_SELF_TEST_LIMIT > 0 && CONFIG_TINYGEN_SELF_TEST_LIMIT < samples)
    samples = CONFIG_TINYGEN_SELF_TEST_LIMIT;
  report_boot(samples);
  tg_profile_calibrate();
  for (int32_t i = 0; i < samples; i++)
    equal += test_sample(i);
  printk("{\"tg\":\"done\",\"samples\":%d,\"equal\":%d,\"stack\":%d}\n", (int)samples, (int)equal,
         stack_used());
  return equal == samples;
}

#else

bool self_test(void) {
  return true;
}

#endif
