# Compiler flags shared by all of cupel's own targets.
#
# Arithmetic is written as it is meant: no contraction into FMA behind our back, never -ffast-math.
# errno is not read after math functions and floating-point traps are not used, so giving both up
# changes no value and lets loops vectorise.
set(CUPEL_FLAGS
    -Wall -Wextra -Wpedantic -Wshadow -Werror=vla -Wstrict-prototypes -Wmissing-prototypes
    -Wwrite-strings -Wpointer-arith -Wundef -Wformat=2
    -ffp-contract=off -fno-math-errno -fno-trapping-math)
if(CUPEL_WERROR)
    list(APPEND CUPEL_FLAGS -Werror)
endif()

set(CUPEL_SANITIZE_FLAGS "")
if(CUPEL_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "CUPEL_FUZZ needs clang's libFuzzer, and the compiler is "
                            "${CMAKE_C_COMPILER}: configure with CC=clang")
    endif()
    set(CUPEL_SANITIZE "fuzzer-no-link;address;undefined")
endif()
if(CUPEL_SANITIZE)
    string(REPLACE ";" "," CUPEL_SANITIZE_LIST "${CUPEL_SANITIZE}")
    set(CUPEL_SANITIZE_FLAGS -fsanitize=${CUPEL_SANITIZE_LIST} -fno-sanitize-recover=all
                             -fno-omit-frame-pointer -g)
    if(CMAKE_C_COMPILER_ID MATCHES "Clang")
        # Checks inside a loop keep it from being vectorised, pragma or not.
        list(APPEND CUPEL_SANITIZE_FLAGS -Wno-pass-failed)
    endif()
endif()

# What every object of the library is compiled with.
function(cupel_library_objects target)
    set_target_properties(${target} PROPERTIES
        POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
    target_compile_options(${target} PRIVATE ${CUPEL_FLAGS} ${CUPEL_SANITIZE_FLAGS})
    target_compile_definitions(${target} PRIVATE CUPEL_LIBRARY)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/include"
                                                 "${PROJECT_SOURCE_DIR}/src")
    target_include_directories(${target} SYSTEM PRIVATE ${CUPEL_INCLUDE_DIRS})
    target_link_libraries(${target} PRIVATE OpenMP::OpenMP_C)
endfunction()
