/* An NVML that cannot change a GPU: every call that would answers NO_PERMISSION (4) and leaves a line in the file that
 * GRESGEN_GUARD_LOG names. All other calls are the driver's: dlsym(3) on the handle of this library finds them in
 * libnvidia-ml.so.1, which it needs. */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refuse(const char *call) {
    const char *path = getenv("GRESGEN_GUARD_LOG");
    int log = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (log >= 0) {
        if (write(log, call, strlen(call)) < 0 || write(log, "\n", 1) < 0)
            abort();
        close(log);
    }
    return 4;
}

#define REFUSE(call) int call(void); int call(void) { return refuse(#call); }

REFUSE(nvmlComputeInstanceDestroy)
REFUSE(nvmlDeviceClearAccountingPids)
REFUSE(nvmlDeviceClearCpuAffinity)
REFUSE(nvmlDeviceClearEccErrorCounts)
REFUSE(nvmlDeviceClearFieldValues)
REFUSE(nvmlDeviceCreateGpuInstance)
REFUSE(nvmlDeviceCreateGpuInstanceWithPlacement)
REFUSE(nvmlDeviceDiscoverGpus)
REFUSE(nvmlDeviceFreezeNvLinkUtilizationCounter)
REFUSE(nvmlDeviceModifyDrainState)
REFUSE(nvmlDevicePowerSmoothingActivatePresetProfile)
REFUSE(nvmlDevicePowerSmoothingSetState)
REFUSE(nvmlDevicePowerSmoothingUpdatePresetProfileParam)
REFUSE(nvmlDeviceReadWritePRM_v1)
REFUSE(nvmlDeviceRemoveGpu)
REFUSE(nvmlDeviceRemoveGpu_v2)
REFUSE(nvmlDeviceResetApplicationsClocks)
REFUSE(nvmlDeviceResetGpuLockedClocks)
REFUSE(nvmlDeviceResetMemoryLockedClocks)
REFUSE(nvmlDeviceResetNvLinkErrorCounters)
REFUSE(nvmlDeviceResetNvLinkUtilizationCounter)
REFUSE(nvmlDeviceSetAPIRestriction)
REFUSE(nvmlDeviceSetAccountingMode)
REFUSE(nvmlDeviceSetApplicationsClocks)
REFUSE(nvmlDeviceSetAutoBoostedClocksEnabled)
REFUSE(nvmlDeviceSetClockOffsets)
REFUSE(nvmlDeviceSetComputeMode)
REFUSE(nvmlDeviceSetConfComputeUnprotectedMemSize)
REFUSE(nvmlDeviceSetCpuAffinity)
REFUSE(nvmlDeviceSetDefaultAutoBoostedClocksEnabled)
REFUSE(nvmlDeviceSetDefaultFanSpeed_v2)
REFUSE(nvmlDeviceSetDramEncryptionMode)
REFUSE(nvmlDeviceSetDriverModel)
REFUSE(nvmlDeviceSetEccMode)
REFUSE(nvmlDeviceSetFanControlPolicy)
REFUSE(nvmlDeviceSetFanSpeed_v2)
REFUSE(nvmlDeviceSetGpcClkVfOffset)
REFUSE(nvmlDeviceSetGpuLockedClocks)
REFUSE(nvmlDeviceSetGpuOperationMode)
REFUSE(nvmlDeviceSetMemClkVfOffset)
REFUSE(nvmlDeviceSetMemoryLockedClocks)
REFUSE(nvmlDeviceSetMigMode)
REFUSE(nvmlDeviceSetNvLinkDeviceLowPowerThreshold)
REFUSE(nvmlDeviceSetNvLinkUtilizationControl)
REFUSE(nvmlDeviceSetNvlinkBwMode)
REFUSE(nvmlDeviceSetPersistenceMode)
REFUSE(nvmlDeviceSetPowerManagementLimit)
REFUSE(nvmlDeviceSetPowerManagementLimit_v2)
REFUSE(nvmlDeviceSetPowerMizerMode_v1)
REFUSE(nvmlDeviceSetTemperatureThreshold)
REFUSE(nvmlDeviceSetVgpuCapabilities)
REFUSE(nvmlDeviceSetVgpuHeterogeneousMode)
REFUSE(nvmlDeviceSetVgpuSchedulerState)
REFUSE(nvmlDeviceSetVirtualizationMode)
REFUSE(nvmlDeviceWorkloadPowerProfileClearRequestedProfiles)
REFUSE(nvmlDeviceWorkloadPowerProfileSetRequestedProfiles)
REFUSE(nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1)
REFUSE(nvmlGpmSetStreamingEnabled)
REFUSE(nvmlGpuInstanceCreateComputeInstance)
REFUSE(nvmlGpuInstanceCreateComputeInstanceWithPlacement)
REFUSE(nvmlGpuInstanceDestroy)
REFUSE(nvmlGpuInstanceSetVgpuHeterogeneousMode)
REFUSE(nvmlGpuInstanceSetVgpuSchedulerState)
REFUSE(nvmlInternalGetExportTable)
REFUSE(nvmlSetVgpuVersion)
REFUSE(nvmlSystemSetConfComputeGpusReadyState)
REFUSE(nvmlSystemSetConfComputeKeyRotationThresholdInfo)
REFUSE(nvmlSystemSetNvlinkBwMode)
REFUSE(nvmlUnitSetLedState)
REFUSE(nvmlVgpuInstanceClearAccountingPids)
REFUSE(nvmlVgpuInstanceSetEncoderCapacity)
REFUSE(nvmlVgpuTypeSetCapabilities)
