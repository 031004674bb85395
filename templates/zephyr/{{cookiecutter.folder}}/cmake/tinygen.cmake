# SPDX-License-Identifier: Apache-2.0
# Sources, include folders, optimisation and placement of the model: written by tinygen.
get_filename_component(TG_ROOT ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
include(${TG_ROOT}/app.cmake)
list(TRANSFORM APP_SOURCES PREPEND ${TG_ROOT}/)
list(TRANSFORM TG_SOURCES PREPEND ${TG_ROOT}/)

target_sources(app PRIVATE ${APP_SOURCES} ${TG_SOURCES})
target_include_directories(app PRIVATE
  ${TG_ROOT}/src
  ${TG_ROOT}/include
  ${TG_ROOT}/src/tinygen
  ${TG_ROOT}/src/tinygen/include
  ${TG_ROOT}/src/tinygen/src)
set_source_files_properties(${TG_SOURCES} PROPERTIES COMPILE_OPTIONS "-O3;-Wextra")

if(CONFIG_TINYGEN_PROFILE)
  target_compile_definitions(app PRIVATE TG_PROFILE)
endif()
{%- if cookiecutter.sections.names %}
if(CONFIG_TINYGEN_ARENA_DEFAULT_RAM)
  target_compile_definitions(app PRIVATE{% for name in cookiecutter.sections.names %} {{ cookiecutter.MODEL }}_IN_{{ name }}={% endfor %})
endif()
{%- endif %}
{%- if cookiecutter.fast_code %}
if(CONFIG_TINYGEN_FAST_CODE)
  set(TG_HOT ${TG_SOURCES})
  list(FILTER TG_HOT INCLUDE REGEX "/src/tinygen/")
  zephyr_code_relocate(FILES ${TG_HOT} LOCATION {{ cookiecutter.fast_code }}_TEXT)
endif()
{%- endif %}
