# Installation: headers, both libraries, the program with its manual page and completions, cupel.pc and
# cupelConfig.cmake.
include(CMakePackageConfigHelpers)
set(CUPEL_CONFIG_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/cupel")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/cupel" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h" PATTERN "*.inc")
install(TARGETS cupel_shared EXPORT cupelTargets DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${CUPEL_ARCHIVE}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(TARGET cupel_program)
    install(TARGETS cupel_program DESTINATION "${CMAKE_INSTALL_BINDIR}")
    # The program writes them out of its table of options.
    set(CUPEL_MANUAL "${PROJECT_BINARY_DIR}/manual")
    file(MAKE_DIRECTORY "${CUPEL_MANUAL}")
    add_custom_command(OUTPUT "${CUPEL_MANUAL}/cupel.1" "${CUPEL_MANUAL}/cupel.bash"
                              "${CUPEL_MANUAL}/cupel.fish" "${CUPEL_MANUAL}/cupel.zsh"
        COMMAND cupel_program help --man > "${CUPEL_MANUAL}/cupel.1"
        COMMAND cupel_program help --completion bash > "${CUPEL_MANUAL}/cupel.bash"
        COMMAND cupel_program help --completion fish > "${CUPEL_MANUAL}/cupel.fish"
        COMMAND cupel_program help --completion zsh > "${CUPEL_MANUAL}/cupel.zsh"
        DEPENDS cupel_program VERBATIM)
    add_custom_target(cupel_manual ALL DEPENDS "${CUPEL_MANUAL}/cupel.1")
    install(FILES "${CUPEL_MANUAL}/cupel.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
    install(FILES "${CUPEL_MANUAL}/cupel.bash" RENAME cupel
            DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
    install(FILES "${CUPEL_MANUAL}/cupel.fish"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
    install(FILES "${CUPEL_MANUAL}/cupel.zsh" RENAME _cupel
            DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
    # share/cupel/recipes/vae-anomaly/demo.yaml finds its sample beside itself.
    install(DIRECTORY "${PROJECT_SOURCE_DIR}/recipes"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/cupel")
endif()
install(EXPORT cupelTargets NAMESPACE cupel:: DESTINATION "${CUPEL_CONFIG_DIR}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/cupelConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/cmake/cupelConfig.cmake" INSTALL_DESTINATION "${CUPEL_CONFIG_DIR}")
# Before 1.0 each minor version may break the one before.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/cmake/cupelConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/cmake/cupelConfig.cmake"
              "${PROJECT_BINARY_DIR}/cmake/cupelConfigVersion.cmake"
        DESTINATION "${CUPEL_CONFIG_DIR}")

# The .pc file finds its prefix from its own place, so an installed tree may be moved.
file(RELATIVE_PATH CUPEL_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" CUPEL_PC_PREFIX "${CUPEL_PC_PREFIX}")
set(CUPEL_PC_OPENMP "${OpenMP_C_FLAGS}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/cupel.pc.in" "${PROJECT_BINARY_DIR}/cmake/cupel.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/cmake/cupel.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
