# cw_embed(TARGET FILES...): makes shipped.S and shipped_table.h, so that each file's bytes (and 64
# zero bytes after them) are in the program under the name it has below the source folder.
function(cw_embed target)
    set(table "struct cw_shipped_row {\n    const char *name, *data, *end;\n};\n\n")
    set(rows "")
    set(assembly "    .section .rodata\n")
    set(number 0)
    foreach(file ${ARGN})
        set(path ${CMAKE_CURRENT_SOURCE_DIR}/${file})
        string(APPEND assembly "    .balign 64\n    .globl cw_shipped_${number}\n"
            "cw_shipped_${number}:\n    .incbin \"${path}\"\n"
            "    .globl cw_shipped_end_${number}\ncw_shipped_end_${number}:\n    .zero 64\n")
        string(APPEND table "extern const char cw_shipped_${number}[], cw_shipped_end_${number}[];\n")
        string(APPEND rows "    {\"${file}\", cw_shipped_${number}, cw_shipped_end_${number}},\n")
        list(APPEND paths ${path})
        math(EXPR number "${number} + 1")
    endforeach()
    string(APPEND assembly "    .section .note.GNU-stack,\"\",@progbits\n")
    string(APPEND table "\nstatic const struct cw_shipped_row shipped[] = {\n${rows}"
        "    {0, 0, 0},\n};\n")
    file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/shipped.S CONTENT "${assembly}")
    file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/generated/tools/shipped_table.h CONTENT "${table}")
    set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/shipped.S PROPERTIES
        OBJECT_DEPENDS "${paths}")
    target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/shipped.S)
    target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
endfunction()
