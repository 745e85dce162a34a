# Vector kernels: src/backend/cpu/**/vec_*.c, one source each, compiled once per instruction set.
#
# Each copy sees CUPEL_VEC_SUFFIX (_baseline, _avx2 or _avx512: append it to every external name),
# CUPEL_VEC_ISA (0, 1 or 2) and CUPEL_VEC_NAME (the same as a string). The rest of the library sees
# CUPEL_HAVE_AVX2 and CUPEL_HAVE_AVX512 where those copies exist, and selects at run time.
set(CUPEL_VEC_ISAS baseline)
set(CUPEL_VEC_FLAGS_baseline "")
# Fuzzers run no kernels, and under sanitizers the copies take minutes to compile.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND NOT CUPEL_FUZZ)
    list(APPEND CUPEL_VEC_ISAS avx2 avx512)
    set(CUPEL_VEC_FLAGS_avx2 -mavx2 -mfma -mf16c)
    set(CUPEL_VEC_FLAGS_avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mf16c
                               -mprefer-vector-width=512)
endif()

# Sets `out` to the objects of all copies and `out_targets` to the targets that make them, and tells
# `user` (a target) which ones there are; CUPEL_VEC_DEFINITIONS tells others that include
# backend/cpu/cpu.h, such as tests.
function(cupel_vector_kernels out out_targets user)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/backend/cpu/vec_*.c")
    set(objects "")
    set(targets "")
    set(definitions "")
    set(number 0)
    foreach(isa ${CUPEL_VEC_ISAS})
        string(TOUPPER ${isa} ISA)
        if(number GREATER 0)
            target_compile_definitions(${user} PRIVATE CUPEL_HAVE_${ISA}=1)
            list(APPEND definitions CUPEL_HAVE_${ISA}=1)
        endif()
        if(sources)
            add_library(cupel_vec_${isa} OBJECT ${sources})
            cupel_library_objects(cupel_vec_${isa})
            target_compile_options(cupel_vec_${isa} PRIVATE ${CUPEL_VEC_FLAGS_${isa}})
            target_compile_definitions(cupel_vec_${isa} PRIVATE
                CUPEL_VEC_SUFFIX=_${isa} CUPEL_VEC_ISA=${number} CUPEL_VEC_NAME="${isa}")
            list(APPEND targets cupel_vec_${isa})
            list(APPEND objects $<TARGET_OBJECTS:cupel_vec_${isa}>)
        endif()
        math(EXPR number "${number} + 1")
    endforeach()
    set(${out} "${objects}" PARENT_SCOPE)
    set(CUPEL_VEC_DEFINITIONS "${definitions}" PARENT_SCOPE)
    set(${out_targets} "${targets}" PARENT_SCOPE)
endfunction()
