/* With LD_PRELOAD, has xl give the next domain the number XL_DOMID, which only Xen itself can
 * otherwise choose: domids come back, but not before 32,751 others. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

int xc_domain_create(void *xen, uint32_t *domid, void *config)
{
    int (*create)(void *, uint32_t *, void *) = dlsym(RTLD_NEXT, "xc_domain_create");
    const char *number = getenv("XL_DOMID");

    if (number)
        *domid = atoi(number);
    return create(xen, domid, config);
}
