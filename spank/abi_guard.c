/*
 * What the plugin relies on in Slurm's plugin ABI. One binary serves every release from 22.05 to 26.05
 * because none of this differs between their headers; building against a header where it does must fail.
 */
#include <stddef.h>
#include <slurm/slurm.h>
#include <slurm/spank.h>

#define HOLDS(condition) _Static_assert(condition, #condition)

/* Items: the enum has only ever been appended to. */
HOLDS(S_JOB_UID == 0);
HOLDS(S_JOB_ID == 2);
HOLDS(S_JOB_STEPID == 3);
HOLDS(S_TASK_ID == 11);
HOLDS(S_TASK_GLOBAL_ID == 12);
HOLDS(S_SLURM_VERSION == 20);
HOLDS(S_JOB_ARRAY_TASK_ID == 31);

HOLDS(S_CTX_ERROR == 0);
HOLDS(S_CTX_LOCAL == 1);
HOLDS(S_CTX_REMOTE == 2);
HOLDS(S_CTX_ALLOCATOR == 3);
HOLDS(S_CTX_SLURMD == 4);
HOLDS(S_CTX_JOB_SCRIPT == 5);

/* Error codes: 1 to 11 up to 20.11, based at 3000 from 21.08. */
HOLDS(ESPANK_SUCCESS == 0);
HOLDS(ESPANK_ENV_NOEXIST == 3004);
HOLDS(ESPANK_NOSPACE == 3005);
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25, 5, 0)
HOLDS(ESPANK_JOB_FAILURE == 3012);
#endif

HOLDS(sizeof(struct spank_option) == 3 * sizeof(char *) + 2 * sizeof(int) + sizeof(spank_opt_cb_f));
HOLDS(offsetof(struct spank_option, has_arg) == 3 * sizeof(char *));
HOLDS(offsetof(struct spank_option, cb) == 3 * sizeof(char *) + 2 * sizeof(int));

/* Step ids that are no numbered step. */
HOLDS(SLURM_EXTERN_CONT == 0xfffffffc);
HOLDS(SLURM_BATCH_SCRIPT == 0xfffffffb);
HOLDS(SLURM_INTERACTIVE_STEP == 0xfffffffa);
