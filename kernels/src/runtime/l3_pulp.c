/* SPDX-License-Identifier: Apache-2.0 */
/* L3 by PMSIS: a readfs partition of the flash holds the file, a pi_ram device receives it. */
#include "tinygen/l3.h"

#include "bsp/bsp.h"
#include "bsp/fs/readfs.h"

/* The devices of the board, as in pi_<device>_conf. */
#ifndef TG_L3_RAM
#define TG_L3_RAM hyperram
#endif
#ifndef TG_L3_FLASH
#define TG_L3_FLASH hyperflash
#endif
#define TG_JOIN(a, b, c) a##b##c
#define TG_CONF(device) TG_JOIN(pi_, device, _conf)
#define TG_CONF_INIT(device) TG_JOIN(pi_, device, _conf_init)

static struct pi_device ram;
static struct TG_CONF(TG_L3_RAM) ram_conf; /* the drivers keep pointers to their configuration */
static uint32_t base;

/* The whole file, by blocks as large as the buffer. */
static int32_t fill(pi_fs_file_t *file, size_t size, void *buffer, size_t buffer_size) {
  const size_t most = buffer_size < TG_L3_PART ? buffer_size : TG_L3_PART;
  for (size_t at = 0; at < size; at += most) {
    const size_t here = size - at < most ? size - at : most;
    if (pi_fs_direct_read(file, buffer, here) != (int32_t)here)
      return 4;
    pi_ram_write(&ram, base + at, buffer, here);
  }
  return 0;
}

int32_t tg_l3_open(const char *name, size_t size, void *buffer, size_t buffer_size) {
  struct TG_CONF(TG_L3_FLASH) flash_conf;
  struct pi_readfs_conf fs_conf;
  struct pi_device flash, fs;
  TG_CONF_INIT(TG_L3_RAM)(&ram_conf);
  pi_open_from_conf(&ram, &ram_conf);
  if (pi_ram_open(&ram) || pi_ram_alloc(&ram, &base, size))
    return 1;
  TG_CONF_INIT(TG_L3_FLASH)(&flash_conf);
  pi_open_from_conf(&flash, &flash_conf);
  if (pi_flash_open(&flash))
    return 2;
  pi_readfs_conf_init(&fs_conf);
  fs_conf.fs.flash = &flash;
  pi_open_from_conf(&fs, &fs_conf);
  if (pi_fs_mount(&fs))
    return 2;
  pi_fs_file_t *file = pi_fs_open(&fs, name, 0);
  const int32_t status = file ? fill(file, size, buffer, buffer_size) : 3;
  if (file)
    pi_fs_close(file);
  pi_fs_unmount(&fs);
  pi_flash_close(&flash);
  return status;
}

void tg_l3_load(tg_l3_t *job, void *far, uint32_t at, size_t size) {
  job->parts = 0;
  for (size_t done = 0; done < size; done += TG_L3_PART) {
    const size_t left = size - done;
    pi_cl_ram_read(&ram, base + at + done, (uint8_t *)far + done,
                   left < TG_L3_PART ? left : TG_L3_PART, &job->part[job->parts++]);
  }
}

void tg_l3_wait(tg_l3_t *job) {
  for (int32_t i = 0; i < job->parts; i++)
    pi_cl_ram_read_wait(&job->part[i]);
}
