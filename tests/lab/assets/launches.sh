# shellcheck shell=bash
# The timed part of the launch benchmark, run as a batch script inside an allocation.
#
# usage: launches ROUNDS FOLDER
#   FOLDER holds one plugstack file per variant and the prologs. srun and slurmstepd read plugstack.conf anew for
#   each step, so a link chooses between variants without a restart.
#
# Writes two lines per launch, "started VARIANT MICROSECONDS" and "ended VARIANT MICROSECONDS" for its task's first
# instruction and srun's return, and, where a step tells of its slurmstepd, "memory VARIANT KIB MAPPED_KIB DIRTY_KIB".
rounds=$1 folder=$2

choose() {
    ln -sfn "$folder/$1.conf" /etc/slurm/plugstack.conf
}

# The variant, then srun's own arguments. The clock is bash's, read without a fork.
launch() {
    local variant=$1 begin end task
    shift
    begin=${EPOCHREALTIME/./}
    srun -n1 --overlap "$@" "$folder/started" >"$folder/task" || echo "failed $variant"
    end=${EPOCHREALTIME/./}
    read -r task <"$folder/task"
    echo "started $variant $((task - begin))"
    echo "ended $variant $((end - begin))"
}

memory() {
    choose "$1"
    srun -n1 --overlap "$folder/memory" "$1"
}

choose plugin
echo "given plugin $(srun -n1 --overlap printenv CUDA_VISIBLE_DEVICES)"
choose none
echo "given none $(srun -n1 --overlap printenv CUDA_VISIBLE_DEVICES)"
echo "given lookup $(srun -n1 --overlap --task-prolog="$folder/lookup" printenv CUDA_VISIBLE_DEVICES)"

variants=(none blank plugin prolog lookup)
for ((round = 0; round < rounds; round++)); do
    # Each round begins with another one, since the end of a step overlaps with the next.
    for ((position = 0; position < 5; position++)); do
        variant=${variants[(round + position) % 5]}
        case $variant in
        none | blank | plugin) choose "$variant"; launch "$variant" ;;
        *) choose none; launch "$variant" --task-prolog="$folder/$variant" ;;
        esac
    done
    # Not compared with the others: the timer writes a file.
    choose timer
    srun -n1 --overlap /bin/true || echo "failed timer"
    if ((round % 10 == 0)); then
        memory none
        memory plugin
    fi
done
choose plugin
