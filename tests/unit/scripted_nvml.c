/* NVIDIA's management library as a test has scripted it, so that the real pynvml runs.

   Each call reads the file that $SCRIPTED_NVML names: lines of a key and a value. `error.KEY 3` makes
   a question fail with that code. Handles: 1 is the whole GPU, 2 an instance of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;
typedef struct { unsigned pid; ull used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { ull reference; ull violation; } violation_t;

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7 };

static int text(const char *key, char *value, size_t size) {
  char line[512], name[128], rest[384];
  int found = 0;
  const char *path = getenv("SCRIPTED_NVML");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return 0;
  while (fgets(line, sizeof line, file))
    if (sscanf(line, "%127s %383[^\n]", name, rest) == 2 && !strcmp(name, key)) {
      snprintf(value, size, "%s", rest);
      found = 1;
    }
  fclose(file);
  return found;
}

static int number(const char *key, ull *value) {
  char name[160], found[384];
  snprintf(name, sizeof name, "error.%s", key);
  if (text(name, found, sizeof found)) return atoi(found);
  if (!text(key, found, sizeof found)) return NOT_SUPPORTED;
  *value = strtoull(found, NULL, 0);
  return SUCCESS;
}

static int small(const char *key, unsigned *value) {
  ull found = 0;
  int code = number(key, &found);
  *value = (unsigned)found;
  return code;
}

int nvmlInitWithFlags(unsigned flags) {
  ull code = 0;
  (void)flags;
  return number("init", &code) == NOT_SUPPORTED ? SUCCESS : (int)code;
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int code) {
  switch (code) {
    case NOT_SUPPORTED: return "Not Supported";
    case NO_PERMISSION: return "Insufficient Permissions";
    case NOT_FOUND: return "Not Found";
    case 9: return "Driver Not Loaded";
    default: return "Unknown Error";
  }
}

int nvmlSystemGetDriverVersion(char *version, unsigned size) {
  return text("driver", version, size) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  char known[384];
  if (text("gpu", known, sizeof known) && !strcmp(known, uuid)) { *device = (void *)1; return SUCCESS; }
  if (text("mig", known, sizeof known) && !strcmp(known, uuid)) { *device = (void *)2; return SUCCESS; }
  return NOT_FOUND;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *mig, void **device) {
  *device = (void *)1;
  return mig == (void *)2 ? SUCCESS : NOT_SUPPORTED;
}

/* An instance of a divided GPU has no clocks, power or temperature of its own. */
#define OF_THE_WHOLE(device) if ((device) != (void *)1) return NOT_SUPPORTED

int nvmlDeviceGetClockInfo(void *device, int kind, unsigned *mhz) {
  (void)kind;
  OF_THE_WHOLE(device);
  return small("clock", mhz);
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
  (void)sensor;
  OF_THE_WHOLE(device);
  return small("temperature", celsius);
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
  OF_THE_WHOLE(device);
  return small("power", milliwatts);
}

int nvmlDeviceGetPowerManagementLimit(void *device, unsigned *milliwatts) {
  OF_THE_WHOLE(device);
  return small("limit", milliwatts);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, ull *reasons) {
  OF_THE_WHOLE(device);
  return number("reasons", reasons);
}

int nvmlDeviceGetViolationStatus(void *device, int policy, violation_t *time) {
  char key[32];
  OF_THE_WHOLE(device);
  snprintf(key, sizeof key, "violation.%d", policy);
  time->reference = 0;
  return number(key, &time->violation);
}

/* `processes 100 200` lists two; each handle has its own list: processes.2 is the instance's. */
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process_t *processes) {
  char key[32], listed[384], *each;
  ull code = 0;
  unsigned found = 0;
  snprintf(key, sizeof key, "processes.%d", device == (void *)1 ? 1 : 2);
  if (text("error.processes", listed, sizeof listed)) return atoi(listed);
  if (!text(key, listed, sizeof listed)) listed[0] = 0;
  (void)code;
  for (each = strtok(listed, " "); each; each = strtok(NULL, " "), found++)
    if (processes && found < *count) {
      memset(&processes[found], 0, sizeof processes[found]);
      processes[found].pid = (unsigned)strtoul(each, NULL, 10);
    }
  code = *count;
  *count = found;
  return code < found ? TOO_SMALL : SUCCESS;
}

int nvmlSystemGetProcessName(unsigned pid, char *name, unsigned size) {
  char key[32];
  snprintf(key, sizeof key, "name.%u", pid);
  return text(key, name, size) ? SUCCESS : NOT_FOUND;
}
