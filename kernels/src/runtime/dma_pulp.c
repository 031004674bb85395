/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's DMA by PMSIS. */
#include "tinygen/dma.h"

static uint32_t address(const void *pointer) {
  return (uint32_t)(uintptr_t)pointer;
}

void tg_dma_load(tg_dma_t *job, void *near, const void *far, size_t size) {
  pi_cl_dma_cmd(address(far), address(near), size, PI_CL_DMA_DIR_EXT2LOC, job);
}

void tg_dma_store(tg_dma_t *job, void *far, const void *near, size_t size) {
  pi_cl_dma_cmd(address(far), address(near), size, PI_CL_DMA_DIR_LOC2EXT, job);
}

void tg_dma_load_2d(tg_dma_t *job, void *near, const void *far, size_t size, size_t row,
                    size_t step) {
  pi_cl_dma_cmd_2d(address(far), address(near), size, step, row, PI_CL_DMA_DIR_EXT2LOC, job);
}

void tg_dma_store_2d(tg_dma_t *job, void *far, const void *near, size_t size, size_t row,
                     size_t step) {
  pi_cl_dma_cmd_2d(address(far), address(near), size, step, row, PI_CL_DMA_DIR_LOC2EXT, job);
}

void tg_dma_wait(tg_dma_t *job) {
  pi_cl_dma_cmd_wait(job);
}
