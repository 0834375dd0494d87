/* A SPANK plugin that does nothing: what loading any plugin costs a launch. */
#include <slurm/spank.h>

SPANK_PLUGIN(empty_plugin, 1);

int slurm_spank_init(spank_t spank, int count, char **arguments)
{
	(void) spank, (void) count, (void) arguments;
	return 0;
}

int slurm_spank_task_init(spank_t spank, int count, char **arguments)
{
	(void) spank, (void) count, (void) arguments;
	return 0;
}
