"""A small NVML client on nvidia-ml-py: prints a line per call it makes, the name of NVML's answer.

    client.py cut COUNT            MIG mode on, then COUNT times a 1g with its compute instance, on GPU 0
    client.py nobody COUNT         the same without root's rights after nvmlInit
    client.py hammer SEED ROUNDS   creates and destroys at random on all GPUs
"""

import os
import random
import sys

import pynvml as nvml


def answer(call, *arguments):
    """What a call gives, or None after its error; says which."""
    try:
        value = call(*arguments)
    except nvml.NVMLError as error:
        print(call.__name__, type(error).__name__.replace("NVMLError_", ""), flush=True)
        return None
    print(call.__name__, "Success", flush=True)
    return value


def cut(count, uid=0):
    answer(nvml.nvmlInit)
    os.seteuid(uid)
    gpu = answer(nvml.nvmlDeviceGetHandleByIndex, 0)
    if gpu is None:
        return
    answer(nvml.nvmlDeviceSetMigMode, gpu, nvml.NVML_DEVICE_MIG_ENABLE)
    profile = nvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, nvml.NVML_GPU_INSTANCE_PROFILE_1_SLICE, version=1).id
    for _ in range(int(count)):
        instance = answer(nvml.nvmlDeviceCreateGpuInstance, gpu, profile)
        if instance is not None:
            answer(nvml.nvmlGpuInstanceCreateComputeInstance, instance, 0)


def nobody(count):
    cut(count, uid=65534)


def instances(gpu):
    """Every GPU instance there is, by id."""
    found = []
    for number in range(15):
        try:
            found.append(nvml.nvmlDeviceGetGpuInstanceById(gpu, number))
        except nvml.NVMLError:
            pass
    return found


def hammer(seed, rounds):
    """Many of these at once get in each other's way: any error is an answer, a dead process is not."""
    choose = random.Random(int(seed))
    nvml.nvmlInit()
    for _ in range(int(rounds)):
        gpu = nvml.nvmlDeviceGetHandleByIndex(choose.randrange(nvml.nvmlDeviceGetCount()))
        held = instances(gpu)
        if held and choose.random() < 0.5:
            instance = choose.choice(held)
            for number in range(8):
                try:
                    compute = nvml.nvmlGpuInstanceGetComputeInstanceById(instance, number)
                except nvml.NVMLError:
                    continue
                answer(nvml.nvmlComputeInstanceDestroy, compute)
            answer(nvml.nvmlGpuInstanceDestroy, instance)
        else:
            profile = choose.choice([0, 5, 9, 14, 15, 19, 19, 19, 20])
            instance = answer(nvml.nvmlDeviceCreateGpuInstance, gpu, profile)
            if instance is not None:
                for number in choose.choices([0, 1, 2, 3, 4, 7], k=3):
                    answer(nvml.nvmlGpuInstanceCreateComputeInstance, instance, number)


{"cut": cut, "nobody": nobody, "hammer": hammer}[sys.argv[1]](*sys.argv[2:])
