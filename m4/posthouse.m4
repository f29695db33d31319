# posthouse.m4: what configure.ac asks of the compiler and of pkg-config.
#
# Flags are gathered in PH_CPPFLAGS, PH_CFLAGS and PH_LDFLAGS, which Makefile.am uses for everything;
# CFLAGS and LDFLAGS stay the user's.

# PH_LIBRARY(VARIABLE, PKG-CONFIG MODULES, DEBIAN PACKAGES): VARIABLE_CFLAGS and VARIABLE_LIBS, or PH_LIBRARIES_FOUND complains.
AC_DEFUN([PH_LIBRARY], [
    PKG_CHECK_MODULES([$1], [$2], [], [
        ph_missing="$ph_missing
    $2: $$1_PKG_ERRORS"
        ph_packages="$ph_packages $3"
    ])
])

# PH_LIBRARIES_FOUND: ends if one is missing, and tells of all that are, so that they can be installed at once.
AC_DEFUN([PH_LIBRARIES_FOUND], [
    AS_IF([test -n "$ph_missing"], [AC_MSG_ERROR([these libraries are missing:
$ph_missing

On Debian:

    apt-get install$ph_packages

Elsewhere install the like of them, or set PKG_CONFIG_PATH.])])
])

# PH_CFLAG(FLAG, [LIST]): adds FLAG to LIST (PH_CFLAGS) if the compiler takes it without a warning.
AC_DEFUN([PH_CFLAG], [
    AC_MSG_CHECKING([whether $CC accepts $1])
    ph_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $1"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()],
                   [AC_MSG_RESULT([yes]); m4_default([$2], [PH_CFLAGS])="$m4_default([$2], [PH_CFLAGS]) $1"],
                   [AC_MSG_RESULT([no])])
    CFLAGS=$ph_saved_CFLAGS
])

# PH_LDFLAG(FLAG): the same for the linker.
AC_DEFUN([PH_LDFLAG], [
    AC_MSG_CHECKING([whether the linker accepts $1])
    ph_saved_LDFLAGS=$LDFLAGS
    LDFLAGS="$LDFLAGS -Werror $1"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes]); PH_LDFLAGS="$PH_LDFLAGS $1"], [AC_MSG_RESULT([no])])
    LDFLAGS=$ph_saved_LDFLAGS
])

AC_DEFUN([PH_LANGUAGE], [
    AC_SUBST([PH_CPPFLAGS], ["-D_GNU_SOURCE"])
    AC_SUBST([PH_CFLAGS])
    AC_SUBST([PH_LDFLAGS])
    PH_CFLAG([-std=gnu17])
    AS_CASE([$PH_CFLAGS], [*gnu17*], [], [AC_MSG_ERROR([a C17 compiler is needed (Debian package: gcc or clang)])])
    PH_CFLAG([-pthread])
])

AC_DEFUN([PH_WARNINGS], [
    m4_foreach_w([ph_flag], [-Wall -Wextra -Wshadow -Wswitch-enum -Wmissing-prototypes -Wstrict-prototypes
                             -Wformat=2 -Wvla -Wpointer-arith -Wwrite-strings], [PH_CFLAG(ph_flag)])
    AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [treat compiler warnings as errors])])
    AS_IF([test "$enable_werror" = yes], [PH_CFLAGS="$PH_CFLAGS -Werror"])
])

# On unless --disable-hardening. _FORTIFY_SOURCE needs an optimising compiler and misleads the sanitizers.
AC_DEFUN([PH_HARDENING], [
    AC_ARG_ENABLE([hardening], [AS_HELP_STRING([--disable-hardening], [leave out PIE, stack protection and the like])],
                  [], [enable_hardening=yes])
    ph_hardening=$enable_hardening
    AS_IF([test "$enable_hardening" = yes], [
        m4_foreach_w([ph_flag], [-fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE],
                     [PH_CFLAG(ph_flag)])
        PH_LDFLAG([-pie])
        PH_LDFLAG([[-Wl,-z,relro]])
        PH_LDFLAG([[-Wl,-z,now]])
        PH_LDFLAG([[-Wl,-z,noexecstack]])
        AC_MSG_CHECKING([whether to define _FORTIFY_SOURCE])
        AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__)
#error not with this compiler setting
#endif
            ]])], [ph_optimising=yes], [ph_optimising=no])
        AS_IF([test "$ph_optimising" = yes && test "$enable_asan" != yes && test "$enable_fuzz" != yes],
              [AC_MSG_RESULT([yes]); PH_CPPFLAGS="$PH_CPPFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"],
              [AC_MSG_RESULT([no])])
    ])
])

AC_DEFUN([PH_SANITIZERS], [
    AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan], [build with AddressSanitizer])])
    AC_ARG_ENABLE([ubsan], [AS_HELP_STRING([--enable-ubsan], [build with UndefinedBehaviorSanitizer, findings are fatal])])
    AC_ARG_ENABLE([fuzz], [AS_HELP_STRING([--enable-fuzz], [build tests/fuzz as libFuzzer programs (needs CC=clang)])])
    AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [build for gcov])])
    ph_sanitizers=
    AS_IF([test "$enable_asan" = yes], [
        PH_NEED_FLAG([-fsanitize=address], [--enable-asan])
        ph_sanitizers="$ph_sanitizers address"
    ])
    AS_IF([test "$enable_ubsan" = yes], [
        PH_NEED_FLAG([-fsanitize=undefined], [--enable-ubsan])
        PH_CFLAG([-fno-sanitize-recover=undefined])
        ph_sanitizers="$ph_sanitizers undefined"
    ])
    AS_IF([test "$enable_fuzz" = yes], [
        PH_NEED_FLAG([-fsanitize=fuzzer-no-link], [--enable-fuzz (CC=clang; Debian packages: clang, libclang-rt-14-dev)])
        AC_SUBST([FUZZ_LDFLAGS], [-fsanitize=fuzzer])
        ph_sanitizers="$ph_sanitizers fuzzer"
    ])
    AS_IF([test -n "$ph_sanitizers"], [PH_CFLAG([-fno-omit-frame-pointer]) PH_CFLAG([-g])])
    AS_IF([test "$enable_coverage" = yes], [PH_NEED_FLAG([--coverage], [--enable-coverage])])
    AM_CONDITIONAL([FUZZ], [test "$enable_fuzz" = yes])
])

# PH_NEED_FLAG(FLAG, OPTION): FLAG for compiling and linking, or an error that names the option.
AC_DEFUN([PH_NEED_FLAG], [
    ph_before=$PH_CFLAGS
    PH_CFLAG([$1])
    AS_IF([test "$ph_before" = "$PH_CFLAGS"], [AC_MSG_ERROR([this compiler cannot do $1, which $2 needs])])
    PH_LDFLAGS="$PH_LDFLAGS $1"
])
