# One static library per folder, with an include root that holds nothing but that folder: a file
# that includes a header of a folder its library does not depend on does not compile.
add_library(cw_warnings INTERFACE)
target_compile_options(cw_warnings INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wcast-align -Wcast-qual
    -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>)

# Tests get fewer: Criterion 2.4's macros do not survive -Wconversion and -Wwrite-strings.
add_library(cw_test_warnings INTERFACE)
target_compile_options(cw_test_warnings INTERFACE
    -Wall -Wextra -Werror -Wundef -Wvla $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)

# v3 lacks the carry-less multiplication that JSON scanning lives on, hence -mpclmul.
# Fused multiply-add is forbidden: a score and a feature must be the same bits as another
# implementation's, and a generated shop the same bytes whatever the compiler.
add_library(cw_flags INTERFACE)
target_compile_options(cw_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-march=${CW_MARCH} -mpclmul -ffp-contract=off -fno-common
    -fno-omit-frame-pointer -fstack-protector-strong -fcf-protection>
    $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>)
target_link_options(cw_flags INTERFACE -Wl,-z,relro,-z,now)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(cw_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-O3>)
    target_compile_definitions(cw_flags INTERFACE _FORTIFY_SOURCE=2)
endif()
if(CW_LTO)
    target_compile_options(cw_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-flto=thin>)
    # What is the same in two programs is compiled once: most of a release build was that again.
    target_link_options(cw_flags INTERFACE -flto=thin -fuse-ld=lld
        -Wl,--thinlto-cache-dir=${CMAKE_BINARY_DIR}/thinlto)
endif()
if(CW_SANITIZE)
    target_compile_options(cw_flags INTERFACE
        $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${CW_SANITIZE} -fno-sanitize-recover=all>)
    target_link_options(cw_flags INTERFACE -fsanitize=${CW_SANITIZE})
    target_compile_definitions(cw_flags INTERFACE CW_CHECKS=1)
    if(CW_SANITIZE MATCHES "thread")
        target_compile_definitions(cw_flags INTERFACE CW_TSAN=1)
    endif()
endif()
if(CW_FUZZ)
    target_compile_options(cw_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=fuzzer-no-link>)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_definitions(cw_flags INTERFACE CW_CHECKS=1)
endif()

# cw_library(NAME DEPS ... PACKAGES ...): all .c and .cpp files of the folder that calls it.
function(cw_library name)
    cmake_parse_arguments(ARG "" "" "DEPS;PACKAGES" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c
        ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
    add_library(cw_${name} STATIC ${sources})
    set(root ${CMAKE_BINARY_DIR}/include/${name})
    file(MAKE_DIRECTORY ${root})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${name} SYMBOLIC)
    target_include_directories(cw_${name} PUBLIC ${root})
    target_compile_options(cw_${name} PRIVATE -ffile-prefix-map=${root}/=
        -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
    target_link_libraries(cw_${name} PUBLIC cw_flags PRIVATE cw_warnings)
    foreach(dep ${ARG_DEPS})
        target_link_libraries(cw_${name} PUBLIC cw_${dep})
    endforeach()
    foreach(package ${ARG_PACKAGES})
        target_link_libraries(cw_${name} PRIVATE ${package})
    endforeach()
endfunction()
