# SPDX-License-Identifier: Apache-2.0
# Sources, optimisation and placement of the model: written by tinygen.
include(${CMAKE_CURRENT_LIST_DIR}/../app.cmake)

zephyr_include_directories(include)
zephyr_library_named(tinygen_{{ cookiecutter.model }})
zephyr_library_include_directories(src/tinygen src/tinygen/include src/tinygen/src)
zephyr_library_compile_options(-O3)
if(NOT CONFIG_TINYGEN_{{ cookiecutter.MODEL }}_SAMPLES)
  list(FILTER TG_SOURCES EXCLUDE REGEX "_samples\\.c$")
endif()

# Two models in one firmware share the kernels: the first module that needs one brings it.
get_property(tg_known GLOBAL PROPERTY TINYGEN_KERNELS)
set(TG_HOT)
foreach(file ${APP_SOURCES} ${TG_SOURCES})
  if(file MATCHES "^src/tinygen/")
    get_filename_component(name ${file} NAME)
    if(name IN_LIST tg_known)
      continue()
    endif()
    list(APPEND tg_known ${name})
    list(APPEND TG_HOT ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endif()
  zephyr_library_sources(${file})
endforeach()
set_property(GLOBAL PROPERTY TINYGEN_KERNELS ${tg_known})
{%- if cookiecutter.sections.names %}
if(CONFIG_TINYGEN_{{ cookiecutter.MODEL }}_ARENA_DEFAULT_RAM)
  zephyr_library_compile_definitions({% for name in cookiecutter.sections.names %}{{ cookiecutter.MODEL }}_IN_{{ name }}= {% endfor %})
endif()
{%- endif %}
{%- if cookiecutter.fast_code %}
if(CONFIG_TINYGEN_{{ cookiecutter.MODEL }}_FAST_CODE AND TG_HOT)
  zephyr_code_relocate(FILES ${TG_HOT} LOCATION {{ cookiecutter.fast_code }}_TEXT)
endif()
{%- endif %}
